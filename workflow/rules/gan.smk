rule gan:
    input:
        data=results("packs/train.npy"),
        table=results("packs/train.parquet"),
        meta=results("packs/train.json"),
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
        results("logs/gan.log"),
    benchmark:
        results("benchmarks/gan.tsv")
    threads: 8
    resources:
        gpu=1,
    params:
        outdir=folder_of("network"),
        options=options("gan"),
        harmless=harmless("gan"),
        seed=RUN.settings.seed,
        code=code("stylegan2 train"),
    shell:
        "stylegan2 train --data {input.data} --outdir {params.outdir} {params.options}"
        " {params.harmless} --threads {threads} --seed {params.seed} 2> {log}"


rule gan_metrics:
    input:
        network=gan("network-chosen.safetensors"),
        data=results("packs/train.npy"),
        table=results("packs/train.parquet"),
        meta=results("packs/train.json"),
        held_out=results("packs/val.npy"),
        held_out_table=results("packs/val.parquet"),
        held_out_meta=results("packs/val.json"),
        weights=RUN.metric_weights(),
    output:
        metrics=gan("metrics.json"),
        pairs=report(
            gan("memorization.png"),
            caption="../report/memorization.rst",
            category="GAN",
        ),
    log:
        results("logs/gan_metrics.log"),
    threads: 8
    resources:
        gpu=1,
    params:
        options=options("gan_metrics"),
        harmless=harmless("gan_metrics"),
        seed=RUN.settings.seed,
        code=code("stylegan2 metrics"),
    shell:
        "stylegan2 metrics --network {input.network} --data {input.data}"
        " --held-out {input.held_out} --pairs {output.pairs} --metrics {output.metrics}"
        " {params.options} {params.harmless} --threads {threads} --seed {params.seed} 2> {log}"
