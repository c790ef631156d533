# Labelled sets from elsewhere: never learned from; every arm and round is measured on them.


rule external_ingest_each:
    input:
        tables=RUN.external_tables,
    output:
        index=external("index.parquet"),
        rejected=external("rejected.csv"),
        notes=external("notes.csv"),
    log:
        external("logs/ingest.log"),
    wildcard_constraints:
        external=RUN.external_pattern(use_cut=False),
    threads: 8
    params:
        adapter=lambda wildcards: RUN.external(wildcards).adapter,
        root=RUN.external_root,
        settings=RUN.external_settings,
        options="",
        cut="",
        like="",
        seed=RUN.external_seed,
        code=RUN.external_code,
    shell:
        "facedata ingest --adapter {params.adapter} --root {params.root:q}"
        " --settings {params.settings:q} {params.options} --seed {params.seed}"
        " --workers {threads} --index {output.index} --rejected {output.rejected}"
        " --notes {output.notes} {params.cut} {params.like} 2> {log}"


# Whole photographs: one rule more, since the archive of faces is an output that others lack.
use rule external_ingest_each as external_cut_each with:
    input:
        tables=RUN.external_tables,
        like=RUN.external_like,
    output:
        index=external("index.parquet"),
        rejected=external("rejected.csv"),
        notes=external("notes.csv"),
        cut=external("cut.zip"),
    wildcard_constraints:
        external=RUN.external_pattern(use_cut=True),
    params:
        options=RUN.external_ingest,
        cut=lambda wildcards, output: f"--cut {output.cut}",
        like=RUN.external_framing,


rule external_inspect_each:
    input:
        index=external("index.parquet"),
        cut=RUN.external_cut,
    output:
        inspection=external("inspection.parquet"),
        classifier=external("images/classifier.npy"),
        thumbs=external("images/thumbs.npy"),
    log:
        external("logs/inspect.log"),
    threads: 8
    params:
        root=RUN.external_pictures_root,
        geometries=RUN.classifier_geometries(),
        images=folder_of("classifier"),
        code=code("facedata inspect"),
    shell:
        "facedata inspect --index {input.index} --root {params.root:q}"
        " --geometries {params.geometries:q} --workers {threads}"
        " --inspection {output.inspection} --images {params.images} 2> {log}"


rule external_match_each:
    input:
        index=external("index.parquet"),
        inspection=external("inspection.parquet"),
        thumbs=external("images/thumbs.npy"),
        own_curated=results("curated.parquet"),
        own_inspection=results("inspection.parquet"),
        own_thumbs=results("images/thumbs.npy"),
    output:
        matched=external("matched.parquet"),
    log:
        external("logs/match.log"),
    threads: 8
    params:
        options=RUN.match_options,
        code=code("facedata match"),
    shell:
        "facedata match --index {input.index} --inspection {input.inspection}"
        " --thumbs {input.thumbs} --own-curated {input.own_curated}"
        " --own-inspection {input.own_inspection} --own-thumbs {input.own_thumbs}"
        " --name {wildcards.external} {params.options} --workers {threads}"
        " --matched {output.matched} 2> {log}"


rule external_evaluate_each:
    input:
        models=RUN.seed_models(),
        images=external("images/classifier.npy"),
        matched=external("matched.parquet"),
    output:
        metrics=of_round("external/{external}/{task}/{arm}/seed{seed}/metrics.json"),
        predictions=of_round(
            "external/{external}/{task}/{arm}/seed{seed}/test_predictions.parquet"
        ),
    log:
        of_round("logs/external/{external}/{task}/{arm}/seed{seed}.log"),
    threads: threads_of(RUN.num_trainings())
    resources:
        gpu=gpu,
    params:
        outdir=folder_of("metrics"),
        options=options("evaluate"),
        harmless=harmless("evaluate"),
        seed=RUN.settings.seed,
        code=code("classifiers evaluate-external"),
    shell:
        "classifiers evaluate-external $(printf -- '--model %s ' {input.models})"
        " --images {input.images} --matched {input.matched} --outdir {params.outdir}"
        " {params.options} {params.harmless} --seed {params.seed} --threads {threads} 2> {log}"


rule external_compare_each:
    input:
        predictions=RUN.external_files("test_predictions.parquet"),
        val_predictions=RUN.arm_files("val_predictions.parquet"),
        curated=results("curated.parquet"),
        doses=RUN.drawn("doses.csv"),
        facts=RUN.drawn("filter.json"),
        matched=external("matched.parquet"),
    output:
        json=external("compare/{task}.json"),
        csv=external("compare/{task}.csv"),
        svg=external("compare/{task}.svg"),
        verdict=external("compare/{task}.txt"),
    log:
        external("logs/compare/{task}.log"),
    params:
        heads=RUN.heads,
        judged=RUN.verdict,
        among=RUN.among_tasks,
        options=options("compare"),
        seed=RUN.settings.seed,
        ledger=external("ledger.jsonl"),
        code=code("evenface compare"),
    shell:
        "evenface compare --curated {input.matched}"
        " $(printf -- '--predictions %s ' {input.predictions})"
        " $(printf -- '--val-predictions %s ' {input.val_predictions})"
        " --val-curated {input.curated}"
        " $(for one in {input.doses}; do echo --doses $one; done)"
        " $(for one in {input.facts}; do echo --facts $one; done)"
        " --task '{wildcards.task}, on {wildcards.external}' {params.among} --exploratory"
        " --heads {params.heads:q} {params.judged} {params.options} --seed {params.seed}"
        " --ledger {params.ledger}"
        " --json {output.json} --csv {output.csv} --svg {output.svg} --verdict {output.verdict}"
        " 2> {log}"
