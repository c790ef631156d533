rule compare:
    input:
        predictions=RUN.arm_files("test_predictions.parquet"),
        metrics=RUN.arm_files("metrics.json"),
        curated=results("curated.parquet"),
    output:
        json=results("compare/{task}.json"),
        csv=results("compare/{task}.csv"),
        svg=report(
            results("compare/{task}.svg"),
            caption="../report/compare.rst",
            category="Verdict",
        ),
        verdict=results("compare/{task}.txt"),
    log:
        results("logs/compare/{task}.log"),
    params:
        heads=RUN.heads,
        judged=RUN.verdict,
        options=options("compare"),
        seed=RUN.settings.seed,
        code=code("evenface compare"),
    shell:
        "evenface compare --curated {input.curated}"
        " $(printf -- '--predictions %s ' {input.predictions}) --task {wildcards.task}"
        " --heads {params.heads:q} {params.judged} {params.options} --seed {params.seed}"
        " --json {output.json} --csv {output.csv} --svg {output.svg} --verdict {output.verdict}"
        " 2> {log}"
