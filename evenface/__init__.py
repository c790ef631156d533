"""The roof: settings, workflow, experiment and page; it imports all packages, none imports it.

What a command does, a function does without it; nothing is loaded before it is asked for. Which
arm did better is asked of the predictions of a finished run:

    from pathlib import Path

    import evenface

    settings = evenface.read_settings({"compare": {"num_bootstrap": 500}})
    task, results = settings.tasks[0], Path("results/avatars")
    found = evenface.compare_files(
        sorted(results.glob(f"classifiers/{task.name}/*/seed*/test_predictions.parquet")),
        results / "curated.parquet",
        task.name,
        task.heads,
        task.verdict.head,
        task.verdict.measure,
        settings.compare,
        seed=settings.seed,
    )
    print(found.verdict)
    print(found.table())

The run itself is `evenface.run(["--config", "seed=1"])`, with Snakemake's arguments.
"""

from facekit.offering import offer

__getattr__, __dir__, __all__ = offer(__name__)
