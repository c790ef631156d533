rule compare_each:
    input:
        predictions=RUN.arm_files("test_predictions.parquet"),
        val_predictions=RUN.arm_files("val_predictions.parquet"),
        doses=RUN.drawn("doses.csv"),
        facts=RUN.drawn("filter.json"),
        deficits=RUN.deficits(),
        relabelled=results("relabelled.parquet"),
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
        among=RUN.among_tasks,
        ledger=results("ledger.jsonl"),
        options=options("compare"),
        seed=RUN.settings.seed,
        code=code("evenface compare"),
    shell:
        "evenface compare --curated {input.curated}"
        " $(printf -- '--predictions %s ' {input.predictions})"
        " $(printf -- '--val-predictions %s ' {input.val_predictions})"
        " $(for one in {input.doses}; do echo --doses $one; done)"
        " $(for one in {input.facts}; do echo --facts $one; done)"
        " $(for one in {input.deficits}; do echo --deficits $one; done)"
        " --test-labels-before {input.relabelled} --task {wildcards.task} {params.among}"
        " --heads {params.heads:q} {params.judged} {params.options} --seed {params.seed}"
        " --ledger {params.ledger}"
        " --json {output.json} --csv {output.csv} --svg {output.svg} --verdict {output.verdict}"
        " 2> {log}"
