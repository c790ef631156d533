rule curate:
    input:
        index=results("index.parquet"),
        rejected=results("rejected.csv"),
        inspection=results("inspection.parquet"),
        faces=results("faces.parquet"),
        duplicates=results("duplicates.parquet"),
        curation=curation_list(),
    output:
        curated=results("curated.parquet"),
        dropped=results("dropped.csv"),
    log:
        results("logs/curate.log"),
    params:
        non_faces=setting("curate/non_faces"),
        duplicate_policy=setting("curate/duplicate_policy"),
        conflicts=setting("curate/conflicts"),
        derived=derived_attributes(),
        curation=curation_option,
        code=code_digest("facedata curate"),
    shell:
        "facedata curate --index {input.index} --rejected {input.rejected}"
        " --inspection {input.inspection} --faces {input.faces} --duplicates {input.duplicates}"
        " --non-faces {params.non_faces} --duplicate-policy {params.duplicate_policy}"
        " --conflicts {params.conflicts} --derived {params.derived:q} {params.curation} --curated {output.curated}"
        " --dropped {output.dropped} 2> {log}"
