"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { parts, photos, table } = data;
  const part = Object.fromEntries(parts.map((one) => [one.id, one]));
  const get = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const title = (id) => part[id].name || `part ${id}`;
  const make = (tag, fields = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), fields);
    element.append(...children);
    return element;
  };
  const red_green_blue = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

  // Colours and names, wherever they stand.
  const paint = (root) => {
    for (const dot of all("[data-colour]", root)) dot.style.background = part[dot.dataset.colour].colour;
  };
  paint(document);
  const rename = (id, name) => {
    part[id].name = name.trim();
    for (const element of all(`[data-title="${id}"]`)) element.textContent = title(id);
  };

  // The table of parts, with the names given here.
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : `${value}`);
  const csv = () => {
    const [headings, ...rows] = table;
    const [id, name] = ["id", "name"].map((heading) => headings.indexOf(heading));
    const named = rows.map((row) => row.map((cell, n) => (n === name ? part[row[id]].name : cell)));
    return [headings, ...named].map((row) => row.map((cell) => quoted(String(cell))).join(",") + "\n").join("");
  };
  get("download").addEventListener("click", () => {
    const link = make("a", { download: "parts.csv", href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  // Cards: order and filter.
  const cards = all(".card");
  const arrange = () => {
    const by = get("order").value;
    const value = (card) => Number(card.dataset[by] ?? 0);
    const ranked = [...cards].sort((a, b) =>
      by === "id" ? a.dataset.part - b.dataset.part : by === "place" ? value(a) - value(b) : value(b) - value(a));
    document.querySelector(".cards").append(...ranked);
    const words = get("search").value.trim().toLowerCase();
    const least = Number(get("least").value);
    get("least").nextElementSibling.textContent = `${least} %`;
    let shown = 0;
    for (const card of cards) {
      card.hidden = !title(card.dataset.part).toLowerCase().includes(words) || Number(card.dataset.seen) < least;
      shown += !card.hidden;
    }
    get("nothing").hidden = shown > 0;
  };
  for (const id of ["order", "search", "least"]) get(id).addEventListener("input", arrange);
  for (const input of all(".name")) input.addEventListener("input", () => rename(input.dataset.part, input.value));
  for (const button of all(".show"))
    button.addEventListener("click", () => {
      get("which").value = button.dataset.part;
      get("sort").value = "most";
      list();
      get("photos").scrollIntoView();
    });

  // The gallery, some photos at a time: a page of thousands stays quick.
  const STEP = 48;
  let listed = [], drawn = 0;
  const words = (photo) => {
    const seen = parts.filter((_, n) => photo.parts[n].present).map((one) => title(one.id));
    return `${photo.name}: ${seen.join(", ") || "no part"}`;
  };
  const tile = (n) => {
    const photo = photos[n];
    const frame = make("span", { className: "frame" },
      make("img", { src: photo.picture, alt: words(photo) }),
      make("img", { className: "overlay", src: photo.overlay, alt: "" }));
    const button = make("button", { type: "button", className: "photo" }, frame,
      make("span", { className: "caption", textContent: photo.name }));
    button.dataset.photo = n;
    button.style.setProperty("--aspect", photo.width / photo.height);
    button.setAttribute("aria-label", `Enlarge ${words(photo)}`);
    return button;
  };
  const more = () => {
    const next = listed.slice(drawn, drawn + STEP);
    get("gallery").append(...next.map(tile));
    drawn += next.length;
    get("more").hidden = drawn >= listed.length;
    get("count").textContent = `${listed.length} of ${photos.length} photos` +
      (drawn < listed.length ? `, the first ${drawn} are shown` : "");
  };
  const list = () => {
    const column = parts.findIndex((one) => one.id === Number(get("which").value));
    const sort = get("sort").value;
    const worth = (n) => (column < 0 ? photos[n].certainty : photos[n].parts[column].score);
    listed = photos.map((_, n) => n).filter((n) => column < 0 || photos[n].parts[column].present);
    if (sort !== "given") listed.sort((a, b) => (sort === "most" ? worth(b) - worth(a) : worth(a) - worth(b)));
    get("gallery").replaceChildren();
    drawn = 0;
    more();
  };
  for (const id of ["which", "sort"]) get(id).addEventListener("input", list);
  get("more").addEventListener("click", more);
  get("coloured").addEventListener("input", (event) => document.body.classList.toggle("plain", !event.target.checked));
  list();

  // One photo, large, with parts on and off.
  const dialog = get("large");
  const on = new Set(parts.map((one) => one.id));
  let current = 0, order = [], ids = null;
  const redraw = () => {
    const photo = photos[current];
    const canvas = get("large-overlay");
    if (ids) {
      const image = new ImageData(canvas.width, canvas.height);
      const colours = Object.fromEntries(parts.map((one) => [one.id, red_green_blue(one.colour)]));
      ids.forEach((id, n) => { if (on.has(id)) image.data.set([...colours[id], 255], 4 * n); });
      canvas.getContext("2d").putImageData(image, 0, 0);
    }
    get("large-points").replaceChildren(...parts.flatMap((one, n) => {
      const found = photo.parts[n];
      if (!on.has(one.id) || !found.present) return [];
      const mark = make("b", { textContent: one.id, title: title(one.id) });
      const [red, green, blue] = red_green_blue(one.colour);
      Object.assign(mark.style, {
        top: `${100 * found.point[0]}%`, left: `${100 * found.point[1]}%`, background: one.colour,
        color: red + green + blue < 420 ? "#fff" : "#000",
      });
      return [mark];
    }));
    for (const box of all("input", get("large-parts"))) box.checked = on.has(Number(box.value));
  };
  const decode = async (photo) => {
    // Labels come as colours; the page may be on another photo by the time that they are read.
    const image = make("img", { src: photo.overlay });
    await image.decode();
    if (photo !== photos[current]) return;
    const size = { width: photo.width, height: photo.height };
    Object.assign(get("large-overlay"), size);
    const context = make("canvas", size).getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, photo.width, photo.height).data;
    const known = new Map(parts.map((one) => [red_green_blue(one.colour).join(), one.id]));
    ids = Array.from({ length: photo.width * photo.height }, (_, n) =>
      pixels[4 * n + 3] ? known.get(`${pixels[4 * n]},${pixels[4 * n + 1]},${pixels[4 * n + 2]}`) : 0);
    redraw();
  };
  const show = (n) => {
    current = n;
    ids = null;
    const photo = photos[n];
    get("large-name").textContent = photo.name;
    Object.assign(get("large-picture"), { src: photo.picture, alt: words(photo) });
    const stage = document.querySelector(".stage");
    stage.style.aspectRatio = `${photo.width} / ${photo.height}`;
    stage.style.width = `min(100%, calc(78vh * ${photo.width / photo.height}))`;
    const canvas = get("large-overlay");
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    const box = get("large-box");
    box.hidden = !photo.object;
    if (photo.object) {
      const [y0, x0, y1, x1] = photo.object.map((share) => 100 * Math.min(1, Math.max(0, share)));
      Object.assign(box.style, { top: `${y0}%`, left: `${x0}%`, height: `${y1 - y0}%`, width: `${x1 - x0}%` });
    }
    get("large-parts").replaceChildren(...parts.map((one, n) => {
      const found = photo.parts[n];
      const input = make("input", { type: "checkbox", value: one.id, checked: on.has(one.id) });
      input.addEventListener("input", () => { on[input.checked ? "add" : "delete"](one.id); redraw(); });
      const dot = make("i");
      dot.dataset.colour = one.id;
      const row = make("li", { className: found.present ? "" : "absent" }, make("label", {}, input, dot,
        make("span", { textContent: title(one.id) }), make("small", { textContent: found.score.toFixed(2) })));
      row.title = found.present ? "present" : "below its threshold";
      return row;
    }));
    paint(get("large-parts"));
    redraw();
    decode(photo);
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => {
    const place = order.indexOf(current);
    show(order[(place + by + order.length) % order.length]);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-photo]");
    if (!button) return;
    // Arrows go through the photos that stand around the one that was clicked.
    const around = all("[data-photo]", button.parentElement).map((one) => Number(one.dataset.photo));
    order = button.closest("#gallery") ? listed : [...new Set(around)];
    show(Number(button.dataset.photo));
  });
  const every = (wanted) => {
    for (const one of parts) on[wanted ? "add" : "delete"](one.id);
    redraw();
  };
  get("all").addEventListener("click", () => every(true));
  get("none").addEventListener("click", () => every(false));
  get("before").addEventListener("click", () => step(-1));
  get("after").addEventListener("click", () => step(1));
  get("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "p") every(on.size === 0);
    else return;
    event.preventDefault();
  });
})();
