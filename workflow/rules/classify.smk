rule classify_each:
    input:
        unpack(RUN.synth_inputs),
        images=results("images/classifier.npy"),
        curated=results("curated.parquet"),
        splits=of_round("splits.parquet"),
        checked=ancient(of_round("split_check.json")),
        faces=results("faces.parquet"),
        weights=RUN.backbone_weights(),
    output:
        model=of_round("classifiers/{task}/{arm}/seed{seed}{fold}/model.safetensors"),
        history=of_round("classifiers/{task}/{arm}/seed{seed}{fold}/history.csv"),
        predictions=of_round(
            "classifiers/{task}/{arm}/seed{seed}{fold}/predictions.parquet"
        ),
    log:
        of_round("logs/classify/{task}/{arm}/seed{seed}{fold}.log"),
    benchmark:
        of_round("benchmarks/classify/{task}/{arm}/seed{seed}{fold}.tsv")
    threads: threads_of(RUN.num_trainings())
    resources:
        gpu=gpu,
    params:
        outdir=folder_of("model"),
        heads=RUN.heads,
        synth=synth_options,
        fold=fold_option,
        geometry=RUN.geometry(),
        options=options("classify"),
        harmless=harmless("classify"),
        code=RUN.training_code,
    shell:
        "classifiers train --images {input.images} --curated {input.curated}"
        " --splits {input.splits} --faces {input.faces} --heads {params.heads:q}"
        " --arm {wildcards.arm} {params.synth} {params.fold} --geometry {params.geometry:q}"
        " {params.options} {params.harmless} --threads {threads} --seed {wildcards.seed}"
        " --round {wildcards.round} --outdir {params.outdir} 2> {log}"


rule evaluate_each:
    input:
        models=RUN.seed_models(),
        images=results("images/classifier.npy"),
        curated=results("curated.parquet"),
        splits=of_round("splits.parquet"),
    output:
        metrics=of_round("classifiers/{task}/{arm}/seed{seed}/metrics.json"),
        report=of_round("classifiers/{task}/{arm}/seed{seed}/report.txt"),
        attributes=of_round("classifiers/{task}/{arm}/seed{seed}/attributes.csv"),
        subgroups=of_round("classifiers/{task}/{arm}/seed{seed}/subgroups.csv"),
        confusion=of_round("classifiers/{task}/{arm}/seed{seed}/confusion.csv"),
        mistakes=of_round("classifiers/{task}/{arm}/seed{seed}/mistakes.csv"),
        calibration=of_round("classifiers/{task}/{arm}/seed{seed}/calibration.json"),
        val_predictions=of_round(
            "classifiers/{task}/{arm}/seed{seed}/val_predictions.parquet"
        ),
        predictions=of_round(
            "classifiers/{task}/{arm}/seed{seed}/test_predictions.parquet"
        ),
    log:
        of_round("logs/evaluate/{task}/{arm}/seed{seed}.log"),
    threads: threads_of(RUN.num_trainings())
    resources:
        gpu=gpu,
    params:
        outdir=folder_of("metrics"),
        options=options("evaluate"),
        harmless=harmless("evaluate"),
        seed=RUN.settings.seed,
        code=code("classifiers evaluate"),
    shell:
        "classifiers evaluate $(printf -- '--model %s ' {input.models}) --images {input.images}"
        " --curated {input.curated} --splits {input.splits} --split test --outdir {params.outdir}"
        " {params.options} {params.harmless} --seed {params.seed} --threads {threads} 2> {log}"


# All seeds of an arm as one: what the mean of their probabilities is worth.
rule ensemble_each:
    input:
        predictions=RUN.seed_files("test_predictions.parquet"),
        val_predictions=RUN.seed_files("val_predictions.parquet"),
        curated=results("curated.parquet"),
    output:
        metrics=of_round("classifiers/{task}/{arm}/ensemble/metrics.json"),
        calibration=of_round("classifiers/{task}/{arm}/ensemble/calibration.json"),
        predictions=of_round(
            "classifiers/{task}/{arm}/ensemble/test_predictions.parquet"
        ),
    log:
        of_round("logs/ensemble/{task}/{arm}.log"),
    params:
        outdir=folder_of("metrics"),
        heads=RUN.heads,
        options=options("ensemble"),
        seed=RUN.settings.seed,
        code=code("classifiers ensemble"),
    shell:
        "classifiers ensemble $(printf -- '--predictions %s ' {input.predictions})"
        " $(printf -- '--val-predictions %s ' {input.val_predictions})"
        " --curated {input.curated} --heads {params.heads:q} --outdir {params.outdir}"
        " {params.options} --seed {params.seed} 2> {log}"
