rule screen:
    input:
        index=results("index.parquet"),
        rejected=results("rejected.csv"),
        inspection=results("inspection.parquet"),
        faces=results("faces.parquet"),
        duplicates=results("duplicates.parquet"),
    output:
        screened=results("screened.parquet"),
    log:
        results("logs/screen.log"),
    params:
        non_faces=setting("curate/non_faces"),
        several_faces=setting("curate/several_faces"),
        duplicate_policy=setting("curate/duplicate_policy"),
        conflicts=setting("curate/conflicts"),
        tolerance=setting("dedup/tolerance"),
        derived=derived_attributes(),
        stratify=setting("split/stratify"),
        balance=setting("split/balance"),
        folds=setting("labels/folds"),
        seed=setting("seed"),
        code=code_digest("facedata screen"),
    shell:
        "facedata screen --index {input.index} --rejected {input.rejected}"
        " --inspection {input.inspection} --faces {input.faces} --duplicates {input.duplicates}"
        " --non-faces {params.non_faces} --several-faces {params.several_faces}"
        " --duplicate-policy {params.duplicate_policy} --conflicts {params.conflicts}"
        " --tolerance {params.tolerance:q}"
        " --derived {params.derived:q} --stratify {params.stratify:q}"
        " --balance {params.balance} --folds {params.folds} --seed {params.seed} --screened {output.screened} 2> {log}"


rule crossval:
    input:
        images=results("images/classifier.npy"),
        screened=results("screened.parquet"),
    output:
        predictions=results("oof.parquet"),
    log:
        results("logs/crossval.log"),
    benchmark:
        results("benchmarks/crossval.tsv")
    threads: 8
    resources:
        gpu=1,
    params:
        attributes=judged_attributes(),
        kimg=setting("labels/kimg"),
        passes=setting("labels/passes"),
        backbone=setting("classify/backbone"),
        weights=setting("classify/weights"),
        batch=setting("labels/batch"),
        lr=setting("classify/lr"),
        weight_decay=setting("classify/weight_decay"),
        label_smoothing=setting("classify/label_smoothing"),
        precision=setting("classify/precision"),
        seed=setting("seed"),
        code=code_digest("classifiers crossval"),
    shell:
        "classifiers crossval --images {input.images} --screened {input.screened}"
        " --attributes {params.attributes:q} --backbone {params.backbone}"
        " --weights {params.weights:q} --kimg {params.kimg} --passes {params.passes}"
        " --batch {params.batch} --lr {params.lr} --weight-decay {params.weight_decay}"
        " --label-smoothing {params.label_smoothing} --precision {params.precision}"
        " --threads {threads} --seed {params.seed} --predictions {output.predictions} 2> {log}"


rule labels:
    input:
        screened=results("screened.parquet"),
        predictions=results("oof.parquet"),
    output:
        label_issues=results("label_issues.csv"),
    log:
        results("logs/labels.log"),
    params:
        derived=derived_attributes(),
        code=code_digest("facedata labels"),
    shell:
        "facedata labels --screened {input.screened} --predictions {input.predictions}"
        " --derived {params.derived:q} --label-issues {output.label_issues} 2> {log}"


rule curate:
    input:
        index=results("index.parquet"),
        rejected=results("rejected.csv"),
        inspection=results("inspection.parquet"),
        faces=results("faces.parquet"),
        duplicates=results("duplicates.parquet"),
        label_issues=results("label_issues.csv"),
        curation=curation_list(),
    output:
        curated=results("curated.parquet"),
        dropped=results("dropped.csv"),
        decisions=results("decisions.parquet"),
    log:
        results("logs/curate.log"),
    params:
        non_faces=setting("curate/non_faces"),
        several_faces=setting("curate/several_faces"),
        duplicate_policy=setting("curate/duplicate_policy"),
        conflicts=setting("curate/conflicts"),
        tolerance=setting("dedup/tolerance"),
        label_policy=setting("curate/label_issues"),
        max_score=setting("curate/max_score"),
        derived=derived_attributes(),
        curation=curation_option,
        code=code_digest("facedata curate"),
    shell:
        "facedata curate --index {input.index} --rejected {input.rejected}"
        " --inspection {input.inspection} --faces {input.faces} --duplicates {input.duplicates}"
        " --non-faces {params.non_faces} --several-faces {params.several_faces}"
        " --duplicate-policy {params.duplicate_policy} --conflicts {params.conflicts}"
        " --tolerance {params.tolerance:q}"
        " --label-issues {input.label_issues} --label-policy {params.label_policy} --max-score {params.max_score}"
        " --derived {params.derived:q} {params.curation} --curated {output.curated}"
        " --dropped {output.dropped} --decisions {output.decisions} 2> {log}"


rule review:
    input:
        index=results("index.parquet"),
        inspection=results("inspection.parquet"),
        images=results("images/classifier.npy"),
        faces=results("faces.parquet"),
        duplicates=results("duplicates.parquet"),
        label_issues=results("label_issues.csv"),
        decisions=results("decisions.parquet"),
        curation=curation_list(),
    output:
        page=results("review.html"),
    log:
        results("logs/review.log"),
    params:
        dataset=setting("dataset"),
        saved_as=curation_path(),
        max_images=setting("review/max_images"),
        derived=derived_attributes(),
        curation=curation_option,
        code=code_digest(
            "facedata review",
            "facedata/templates/review.html.j2",
            "facedata/templates/review.js",
        ),
    shell:
        "facedata review --index {input.index} --inspection {input.inspection}"
        " --images {input.images} --faces {input.faces} --duplicates {input.duplicates}"
        " --label-issues {input.label_issues} --decisions {input.decisions}"
        " --derived {params.derived:q} {params.curation} --dataset {params.dataset}"
        " --saved-as {params.saved_as} --max-images {params.max_images} --page {output.page}"
        " 2> {log}"
