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
        decisions=results("decisions.parquet"),
    log:
        results("logs/curate.log"),
    params:
        non_faces=setting("curate/non_faces"),
        several_faces=setting("curate/several_faces"),
        duplicate_policy=setting("curate/duplicate_policy"),
        conflicts=setting("curate/conflicts"),
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
        " --label-policy {params.label_policy} --max-score {params.max_score}"
        " --derived {params.derived:q} {params.curation} --curated {output.curated}"
        " --dropped {output.dropped} --decisions {output.decisions} 2> {log}"
