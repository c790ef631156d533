# Evenface: from a folder of face thumbnails to a verdict on synthetic faces of the rare classes.


# Software of all rules: built from ./Dockerfile; used with --sdm apptainer alone, else the environment's own.
container: "evenface.sif"


wildcard_constraints:
    arm=r"[a-z_0-9@.+]+",
    seed=r"[0-9]+",
    fold=r"(/fold[0-9]+)?",
    round=r"[0-9]+",
    external=r"[A-Za-z][A-Za-z0-9_-]*",
    task=r"[A-Za-z][A-Za-z0-9_-]*",


include: "workflow/rules/common.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/curate.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/gan.smk"
include: "workflow/rules/synth.smk"
include: "workflow/rules/classify.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/stages.smk"


rule all:
    default_target: True
    input:
        results("index.html"),


onsuccess:
    print(RUN.verdicts(), end="")
