rule classify:
    input:
        unpack(synth_inputs),
        images=results("images/classifier.npy"),
        curated=results("curated.parquet"),
        splits=results("splits.parquet"),
        faces=results("faces.parquet"),
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
        heads=heads,
        synth=synth_options,
        fold=fold_option,
        geometry=setting("geometries/classifier"),
        backbone=setting("classify/backbone"),
        weights=setting("classify/weights"),
        epochs=setting("classify/epochs"),
        batch=setting("classify/batch"),
        lr=setting("classify/lr"),
        weight_decay=setting("classify/weight_decay"),
        label_smoothing=setting("classify/label_smoothing"),
        loss=setting("classify/loss"),
        head=setting("classify/head"),
        view=setting("classify/view"),
        sampler=setting("classify/sampler"),
        augment=setting("classify/augment"),
        optimizer=setting("classify/optimizer"),
        schedule=setting("classify/schedule"),
        ema=setting("classify/ema"),
        freeze=setting("classify/freeze"),
        select=setting("classify/select"),
        precision=setting("classify/precision"),
        code=code_digest("classifiers train"),
    shell:
        "classifiers train --images {input.images} --curated {input.curated}"
        " --splits {input.splits} --faces {input.faces} --heads {params.heads:q}"
        " --loss {params.loss:q} --arm {wildcards.arm} {params.synth} {params.fold}"
        " --geometry {params.geometry:q} --backbone {params.backbone} --head {params.head:q}"
        " --view {params.view:q} --sampler {params.sampler} --augment {params.augment:q}"
        " --weights {params.weights:q} --epochs {params.epochs} --batch {params.batch}"
        " --lr {params.lr} --weight-decay {params.weight_decay}"
        " --label-smoothing {params.label_smoothing} --precision {params.precision}"
        " --optimizer {params.optimizer:q} --schedule {params.schedule:q} --ema {params.ema}"
        " --freeze {params.freeze} --select {params.select:q}"
        " --threads {threads} --seed {wildcards.seed} --outdir {params.outdir} 2> {log}"


rule evaluate:
    input:
        models=seed_models(),
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
        batch=setting("evaluate/batch"),
        tta=setting("evaluate/tta"),
        threshold=setting("evaluate/threshold"),
        small_group=setting("evaluate/small_group"),
        confidence=setting("evaluate/confidence"),
        num_bootstrap=setting("evaluate/num_bootstrap"),
        seed=setting("seed"),
        code=code_digest("classifiers evaluate"),
    shell:
        "classifiers evaluate $(printf -- '--model %s ' {input.models}) --images {input.images}"
        " --curated {input.curated} --splits {input.splits} --split test --batch {params.batch}"
        " --tta {params.tta} --threshold {params.threshold} --small-group {params.small_group}"
        " --confidence {params.confidence} --num-bootstrap {params.num_bootstrap}"
        " --seed {params.seed}"
        " --threads {threads} --outdir {params.outdir} 2> {log}"


# All seeds of an arm as one: what the mean of their probabilities is worth.
rule ensemble:
    input:
        predictions=seed_files("test_predictions.parquet"),
        val_predictions=seed_files("val_predictions.parquet"),
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
        heads=heads,
        threshold=setting("evaluate/threshold"),
        small_group=setting("evaluate/small_group"),
        confidence=setting("evaluate/confidence"),
        num_bootstrap=setting("evaluate/num_bootstrap"),
        seed=setting("seed"),
        code=code_digest("classifiers ensemble"),
    shell:
        "classifiers ensemble $(printf -- '--predictions %s ' {input.predictions})"
        " $(printf -- '--val-predictions %s ' {input.val_predictions})"
        " --curated {input.curated} --heads {params.heads:q} --threshold {params.threshold}"
        " --small-group {params.small_group} --confidence {params.confidence}"
        " --num-bootstrap {params.num_bootstrap} --seed {params.seed}"
        " --outdir {params.outdir} 2> {log}"
