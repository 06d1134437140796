"""Check config, data and weights without computing anything: `--mode=check`."""

from typing import Any

from partdisc.data import doctor, examined_dataset
from partdisc.discovery.inputs import describe_data, list_data, open_weights, with_weights
from partdisc.progress import say, table, track
from partdisc.workdir import Workdir, write_json

# Exit status by the gravest finding; 1 is also that of every error which ends a run.
STATUS = {"ok": 0, "note": 0, "warning": 2, "error": 1}
# Names of images listed under the table for each finding; check.json has all.
SHOWN = 5


def check(config: Any, workdir: Workdir) -> int:
    """Examine the data set, open the weights, and say what was found.

    Writes check.json, with the name of every image concerned, and nothing else.

    Args:
      config: the whole config, valid.
      workdir: of the run.

    Returns:
      The exit status: 0 in order, 2 with warnings, 1 with errors.

    Raises:
      errors.PartdiscError: lists or weights are absent or unusable, or there are too few
        images.
    """
    listed = list_data(config, workdir, whole=True)
    findings, seen = doctor.examine(
        listed,
        progress=lambda records, total, label: track(records, label, total=total, unit="images"),
    )
    worst = doctor.worst(findings)
    write_json(
        workdir.path / "check.json",
        {
            "data": config.data.name,
            "worst": worst,
            "findings": [one._asdict() for one in findings],
        },
    )
    say("")
    table(
        f"{config.data.name}: examination of the data",
        ["", "examined", "found"],
        [[one.severity, one.what, one.found] for one in findings],
    )
    for one in findings:
        if one.severity in ("warning", "error") and len(one.names) > 1:
            say(f"{one.what}:")
            for name in one.names[:SHOWN]:
                say(f"  {name}")
            if len(one.names) > SHOWN:
                say(f"  and {len(one.names) - SHOWN} more")
    say("")
    say(f"examination {workdir.path / 'check.json'}")
    if worst != "error":
        wanted = list_data(config, workdir, known=listed.contents)
        inputs = describe_data(config, examined_dataset(wanted, seen))
        with_weights(config, inputs, open_weights(config))
    say(
        {
            "ok": "config, data and weights are in order; nothing was computed",
            "note": "config, data and weights are in order; nothing was computed",
            "warning": "the data can be used, with the warnings above; nothing was computed",
            "error": "the data has errors; nothing was computed",
        }[worst]
    )
    return STATUS[worst]
