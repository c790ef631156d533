rule page:
    input:
        summary=results("eda/summary.json"),
        checks=RUN.in_rounds(of_round("split_check.json")),
        label_issues=results("label_issues.csv"),
        review=results("review.html"),
        gan_grids=RUN.in_rounds(gan("fakes-final.png")),
        gan_metrics=RUN.in_rounds(gan("metrics.json")),
        compare=RUN.task_files("compare/{task}.json"),
        ensembles=RUN.ensembles(),
        external=RUN.external_comparisons(),
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
        rounds=RUN.settings.rounds,
        again=typed_again(workflow),
        code=code("evenface page"),
    shell:
        "evenface page --results {params.results} --dataset {params.dataset}"
        " --tasks {params.tasks:q} --rounds {params.rounds} --again {params.again:q}"
        " --page {output.page} 2> {log}"
