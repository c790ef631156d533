rule classify:
    input:
        unpack(RUN.synth_inputs),
        images=results("images/classifier.npy"),
        curated=results("curated.parquet"),
        splits=results("splits.parquet"),
        faces=results("faces.parquet"),
        weights=RUN.backbone_weights(),
    output:
        model=results("classifiers/{task}/{arm}/seed{seed}{fold}/model.safetensors"),
        history=results("classifiers/{task}/{arm}/seed{seed}{fold}/history.csv"),
        predictions=results(
            "classifiers/{task}/{arm}/seed{seed}{fold}/predictions.parquet"
        ),
    log:
        results("logs/classify/{task}/{arm}/seed{seed}{fold}.log"),
    benchmark:
        results("benchmarks/classify/{task}/{arm}/seed{seed}{fold}.tsv")
    threads: 8
    resources:
        gpu=1,
    params:
        outdir=folder_of("model"),
        heads=RUN.heads,
        synth=synth_options,
        fold=fold_option,
        geometry=RUN.geometry(),
        options=options("classify"),
        code=RUN.training_code,
    shell:
        "classifiers train --images {input.images} --curated {input.curated}"
        " --splits {input.splits} --faces {input.faces} --heads {params.heads:q}"
        " --arm {wildcards.arm} {params.synth} {params.fold} --geometry {params.geometry:q}"
        " {params.options} --threads {threads} --seed {wildcards.seed} --outdir {params.outdir}"
        " 2> {log}"


rule evaluate:
    input:
        models=RUN.seed_models(),
        images=results("images/classifier.npy"),
        curated=results("curated.parquet"),
        splits=results("splits.parquet"),
    output:
        metrics=results("classifiers/{task}/{arm}/seed{seed}/metrics.json"),
        report=results("classifiers/{task}/{arm}/seed{seed}/report.txt"),
        attributes=results("classifiers/{task}/{arm}/seed{seed}/attributes.csv"),
        subgroups=results("classifiers/{task}/{arm}/seed{seed}/subgroups.csv"),
        confusion=results("classifiers/{task}/{arm}/seed{seed}/confusion.csv"),
        mistakes=results("classifiers/{task}/{arm}/seed{seed}/mistakes.csv"),
        calibration=results("classifiers/{task}/{arm}/seed{seed}/calibration.json"),
        val_predictions=results(
            "classifiers/{task}/{arm}/seed{seed}/val_predictions.parquet"
        ),
        predictions=results(
            "classifiers/{task}/{arm}/seed{seed}/test_predictions.parquet"
        ),
    log:
        results("logs/evaluate/{task}/{arm}/seed{seed}.log"),
    threads: 8
    resources:
        gpu=1,
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
rule ensemble:
    input:
        predictions=RUN.seed_files("test_predictions.parquet"),
        val_predictions=RUN.seed_files("val_predictions.parquet"),
        curated=results("curated.parquet"),
    output:
        metrics=results("classifiers/{task}/{arm}/ensemble/metrics.json"),
        calibration=results("classifiers/{task}/{arm}/ensemble/calibration.json"),
        predictions=results(
            "classifiers/{task}/{arm}/ensemble/test_predictions.parquet"
        ),
    log:
        results("logs/ensemble/{task}/{arm}.log"),
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
