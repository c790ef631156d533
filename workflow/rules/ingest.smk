rule ingest:
    input:
        tables=RUN.tables(),
    output:
        index=results("index.parquet"),
        rejected=results("rejected.csv"),
        notes=results("notes.csv"),
        cut=RUN.cut_faces(),
    log:
        results("logs/ingest.log"),
    threads: 8
    params:
        adapter=RUN.settings.ingest.adapter,
        root=root(),
        settings=ingest_settings(),
        options=options("ingest"),
        cut=lambda wildcards, output: f"--cut {output.cut}" if output.cut else "",
        seed=RUN.settings.seed,
        code=code("facedata ingest"),
    shell:
        "facedata ingest --adapter {params.adapter} --root {params.root:q}"
        " --settings {params.settings:q} {params.options} --seed {params.seed} --workers {threads}"
        " --index {output.index} --rejected {output.rejected} --notes {output.notes} {params.cut}"
        " 2> {log}"


rule inspect:
    input:
        index=results("index.parquet"),
        cut=RUN.cut_faces(),
    output:
        inspection=results("inspection.parquet"),
        gan=results("images/gan.npy"),
        classifier=results("images/classifier.npy"),
        thumbs=results("images/thumbs.npy"),
    log:
        results("logs/inspect.log"),
    threads: 8
    params:
        root=pictures_root(),
        geometries=RUN.geometries(),
        images=folder_of("gan"),
        code=code("facedata inspect"),
    shell:
        "facedata inspect --index {input.index} --root {params.root:q}"
        " --geometries {params.geometries:q} --workers {threads}"
        " --inspection {output.inspection} --images {params.images} 2> {log}"


rule faces:
    input:
        inspection=results("inspection.parquet"),
        images=results("images/classifier.npy"),
    output:
        faces=results("faces.parquet"),
    log:
        results("logs/faces.log"),
    threads: 8
    resources:
        gpu=gpu,
    params:
        options=options("faces"),
        harmless=harmless("faces"),
        code=code("facedata faces"),
    shell:
        "facedata faces --inspection {input.inspection} --images {input.images}"
        " --faces {output.faces} {params.options} {params.harmless} --threads {threads} 2> {log}"


rule dedup:
    input:
        index=results("index.parquet"),
        inspection=results("inspection.parquet"),
        thumbs=results("images/thumbs.npy"),
    output:
        duplicates=results("duplicates.parquet"),
    log:
        results("logs/dedup.log"),
    threads: 8
    params:
        options=options("dedup"),
        derived=derived(),
        code=code("facedata dedup"),
    shell:
        "facedata dedup --index {input.index} --inspection {input.inspection}"
        " --thumbs {input.thumbs} --duplicates {output.duplicates} {params.options}"
        " --derived {params.derived:q} --workers {threads} 2> {log}"
