rule ingest:
    input:
        tables=label_tables(),
    output:
        index=results("index.parquet"),
        rejected=results("rejected.csv"),
        notes=results("notes.csv"),
    log:
        results("logs/ingest.log"),
    threads: 8
    params:
        adapter=setting("ingest/adapter"),
        root=dataset_root(),
        settings=json.dumps(adapter_settings()),
        seed=setting("seed"),
        code=code_digest("facedata ingest"),
    shell:
        "facedata ingest --adapter {params.adapter} --root {params.root:q}"
        " --settings {params.settings:q} --seed {params.seed} --index {output.index}"
        " --rejected {output.rejected} --notes {output.notes} 2> {log}"


rule inspect:
    input:
        index=results("index.parquet"),
    output:
        inspection=results("inspection.parquet"),
        gan=results("images/gan.npy"),
        classifier=results("images/classifier.npy"),
        thumbs=results("images/thumbs.npy"),
    log:
        results("logs/inspect.log"),
    threads: 8
    params:
        root=dataset_root(),
        geometries=setting("geometries"),
        images=folder_of("gan"),
        code=code_digest("facedata inspect"),
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
        gpu=1,
    params:
        min_probability=setting("faces/min_probability"),
        min_face_share=setting("faces/min_face_share"),
        several_probability=setting("faces/several_probability"),
        several_share=setting("faces/several_share"),
        batch=setting("faces/batch"),
        code=code_digest("facedata faces"),
    shell:
        "facedata faces --inspection {input.inspection} --images {input.images}"
        " --min-probability {params.min_probability} --min-face-share {params.min_face_share}"
        " --several-probability {params.several_probability}"
        " --several-share {params.several_share} --batch {params.batch} --threads {threads}"
        " --faces {output.faces} 2> {log}"


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
        max_distance=setting("dedup/max_distance"),
        max_difference=setting("dedup/max_difference"),
        tolerance=setting("dedup/tolerance"),
        derived=derived_attributes(),
        code=code_digest("facedata dedup"),
    shell:
        "facedata dedup --index {input.index} --inspection {input.inspection}"
        " --thumbs {input.thumbs} --max-distance {params.max_distance}"
        " --max-difference {params.max_difference} --tolerance {params.tolerance:q}"
        " --derived {params.derived:q} --workers {threads}"
        " --duplicates {output.duplicates} 2> {log}"
