rule page:
    input:
        summary=results("eda/summary.json"),
        check=results("split_check.json"),
        label_issues=results("label_issues.csv"),
        review=results("review.html"),
        gan_grid=gan("fakes-final.png"),
        gan_metrics=gan("metrics.json"),
        compare=task_files("compare/{task}.json"),
        ensembles=ensembles(),
        figures=task_files("compare/{task}.svg"),
        verdicts=task_files("compare/{task}.txt"),
    output:
        page=results("index.html"),
    log:
        results("logs/page.log"),
    params:
        results=folder_of("page"),
        dataset=setting("dataset"),
        tasks=setting("tasks"),
        code=code_digest("facedata report", "facedata/templates/report.html.j2"),
    shell:
        "facedata report --results {params.results} --dataset {params.dataset}"
        " --tasks {params.tasks:q} --page {output.page} 2> {log}"
