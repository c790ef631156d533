rule compare:
    input:
        predictions=arm_files("test_predictions.parquet"),
        metrics=arm_files("metrics.json"),
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
        heads=heads,
        head=lambda wildcards: task(wildcards.task)["verdict"]["head"],
        measure=lambda wildcards: task(wildcards.task)["verdict"]["measure"],
        baseline=setting("compare/baseline"),
        confidence=setting("compare/confidence"),
        num_bootstrap=setting("compare/num_bootstrap"),
        seed=setting("seed"),
        code=code_digest("classifiers compare"),
    shell:
        "classifiers compare --curated {input.curated}"
        " $(printf -- '--predictions %s ' {input.predictions}) --task {wildcards.task}"
        " --heads {params.heads:q} --head {params.head} --measure {params.measure}"
        " --baseline {params.baseline} --confidence {params.confidence}"
        " --num-bootstrap {params.num_bootstrap} --seed {params.seed} --json {output.json}"
        " --csv {output.csv} --svg {output.svg} --verdict {output.verdict} 2> {log}"
