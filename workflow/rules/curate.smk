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
        options=options("screen"),
        derived=derived(),
        seed=RUN.settings.seed,
        code=code("facedata screen"),
    shell:
        "facedata screen --index {input.index} --rejected {input.rejected}"
        " --inspection {input.inspection} --faces {input.faces} --duplicates {input.duplicates}"
        " --screened {output.screened} {params.options} --derived {params.derived:q}"
        " --seed {params.seed} 2> {log}"


rule crossval:
    input:
        images=results("images/classifier.npy"),
        screened=results("screened.parquet"),
        weights=RUN.backbone_weights(),
    output:
        predictions=results("oof.parquet"),
    log:
        results("logs/crossval.log"),
    benchmark:
        results("benchmarks/crossval.tsv")
    threads: 8
    resources:
        gpu=gpu,
    params:
        options=options("crossval", attributes=RUN.judged()),
        seed=RUN.settings.seed,
        code=RUN.judging_code(),
    shell:
        "classifiers crossval --images {input.images} --screened {input.screened}"
        " --predictions {output.predictions} {params.options} --threads {threads}"
        " --seed {params.seed} 2> {log}"


rule labels:
    input:
        screened=results("screened.parquet"),
        predictions=results("oof.parquet"),
    output:
        label_issues=results("label_issues.csv"),
    log:
        results("logs/labels.log"),
    params:
        derived=derived(),
        code=code("facedata labels"),
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
        curation=RUN.curation(),
    output:
        curated=results("curated.parquet"),
        dropped=results("dropped.csv"),
        decisions=results("decisions.parquet"),
        relabelled=results("relabelled.parquet"),
    log:
        results("logs/curate.log"),
    params:
        options=options("curate"),
        derived=derived(),
        curation=file_option("--curation", "curation"),
        code=code("facedata curate"),
    shell:
        "facedata curate --index {input.index} --rejected {input.rejected}"
        " --inspection {input.inspection} --faces {input.faces} --duplicates {input.duplicates}"
        " --label-issues {input.label_issues} {params.curation} --curated {output.curated}"
        " --dropped {output.dropped} --decisions {output.decisions}"
        " --relabelled {output.relabelled} {params.options} --derived {params.derived:q} 2> {log}"


rule review:
    input:
        index=results("index.parquet"),
        inspection=results("inspection.parquet"),
        images=results("images/classifier.npy"),
        faces=results("faces.parquet"),
        duplicates=results("duplicates.parquet"),
        label_issues=results("label_issues.csv"),
        predictions=results("oof.parquet"),
        decisions=results("decisions.parquet"),
        curation=RUN.curation(),
    output:
        page=results("review.html"),
    log:
        results("logs/review.log"),
    params:
        options=options("review"),
        root=root(),
        dataset=RUN.settings.dataset,
        saved_as=RUN.curation_path(),
        again=typed_again(workflow),
        derived=derived(),
        curation=file_option("--curation", "curation"),
        code=code("facedata review"),
    shell:
        "facedata review --index {input.index} --inspection {input.inspection}"
        " --images {input.images} --faces {input.faces} --duplicates {input.duplicates}"
        " --label-issues {input.label_issues} --decisions {input.decisions}"
        " --predictions {input.predictions} --root {params.root:q}"
        " {params.curation} --page {output.page} {params.options} --derived {params.derived:q}"
        " --dataset {params.dataset} --saved-as {params.saved_as} --again {params.again:q} 2> {log}"
