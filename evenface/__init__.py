"""The roof: settings, workflow, experiment and page; it imports all packages, none imports it.

What a command does, a function does without it; nothing is loaded before it is asked for. Which
arm did better is asked of the predictions of a finished run:

    from pathlib import Path

    import evenface

    settings = evenface.read_settings({"compare": {"confidence": 0.9}})
    task, results = settings.tasks[0], Path("results/avatars")
    runs = f"round*/classifiers/{task.name}/*/seed*"
    found = evenface.compare_files(
        evenface.Evidence(
            sorted(results.glob(f"{runs}/test_predictions.parquet")),
            results / "curated.parquet",
            sorted(results.glob(f"{runs}/val_predictions.parquet")),
        ),
        evenface.Question(task.name, task.heads, task.verdict.head, task.verdict.measure),
        settings.compare,
        seed=settings.seed,
    )
    print(found.verdict)
    print(found.table())

The run itself is `evenface.run(["--config", "seed=1"])`, with Snakemake's arguments.
"""

from facekit.offering import offer

__getattr__, __dir__, __all__ = offer(__name__)
