rule page:
    input:
        summary=results("eda/summary.json"),
        check=results("split_check.json"),
        label_issues=results("label_issues.csv"),
        review=results("review.html"),
        gan_grid=gan("fakes-final.png"),
        gan_metrics=gan("metrics.json"),
        compare=RUN.task_files("compare/{task}.json"),
        ensembles=RUN.ensembles(),
        figures=RUN.task_files("compare/{task}.svg"),
        verdicts=RUN.task_files("compare/{task}.txt"),
    output:
        page=results("index.html"),
    log:
        results("logs/page.log"),
    params:
        results=folder_of("page"),
        dataset=RUN.settings.dataset,
        tasks=RUN.tasks(),
        code=code("evenface page"),
    shell:
        "evenface page --results {params.results} --dataset {params.dataset}"
        " --tasks {params.tasks:q} --page {output.page} 2> {log}"
