rule gan_each:
    input:
        data=of_round("packs/train.npy"),
        table=of_round("packs/train.parquet"),
        meta=of_round("packs/train.json"),
        resume=RUN.resume(),
    output:
        network=gan("network-chosen.safetensors"),
        final=gan("network-final.safetensors"),
        stats=gan("stats.jsonl"),
        grid=report(
            gan("fakes-final.png"),
            caption="../report/gan.rst",
            category="GAN",
        ),
    log:
        of_round("logs/gan.log"),
    benchmark:
        of_round("benchmarks/gan.tsv")
    threads: threads_of(RUN.settings.rounds)
    resources:
        gpu=gpu,
    params:
        outdir=folder_of("network"),
        options=options("gan"),
        harmless=harmless("gan"),
        seed=RUN.round_seed,
        code=code("stylegan2 train"),
    shell:
        "stylegan2 train --data {input.data} --outdir {params.outdir} {params.options}"
        " {params.harmless} --threads {threads} --seed {params.seed} 2> {log}"


rule gan_metrics_each:
    input:
        network=gan("network-chosen.safetensors"),
        data=of_round("packs/train.npy"),
        table=of_round("packs/train.parquet"),
        meta=of_round("packs/train.json"),
        held_out=of_round("packs/val.npy"),
        held_out_table=of_round("packs/val.parquet"),
        held_out_meta=of_round("packs/val.json"),
        weights=RUN.metric_weights(),
    output:
        metrics=gan("metrics.json"),
        pairs=report(
            gan("memorization.png"),
            caption="../report/memorization.rst",
            category="GAN",
        ),
    log:
        of_round("logs/gan_metrics.log"),
    threads: threads_of(RUN.settings.rounds)
    resources:
        gpu=gpu,
    params:
        options=options("gan_metrics"),
        harmless=harmless("gan_metrics"),
        seed=RUN.round_seed,
        code=code("stylegan2 metrics"),
    shell:
        "stylegan2 metrics --network {input.network} --data {input.data}"
        " --held-out {input.held_out} --pairs {output.pairs} --metrics {output.metrics}"
        " {params.options} {params.harmless} --threads {threads} --seed {params.seed} 2> {log}"
