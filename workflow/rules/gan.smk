rule gan:
    input:
        data=results("packs/train.npy"),
        table=results("packs/train.parquet"),
        meta=results("packs/train.json"),
        resume=resume_list(),
    output:
        network=gan("network-final.safetensors"),
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
        cfg=setting("gan/cfg"),
        kimg=setting("gan/kimg"),
        batch=setting("gan/batch"),
        batch_gpu=setting("gan/batch_gpu"),
        gamma=setting("gan/gamma"),
        channel_base=setting("gan/channel_base"),
        channel_max=setting("gan/channel_max"),
        z_dim=setting("gan/z_dim"),
        w_dim=setting("gan/w_dim"),
        mapping_layers=setting("gan/mapping_layers"),
        lr=setting("gan/lr"),
        ema_kimg=setting("gan/ema_kimg"),
        aug=setting("gan/aug"),
        p=setting("gan/p"),
        target=setting("gan/target"),
        augpipe=setting("gan/augpipe"),
        ada_kimg=setting("gan/ada_kimg"),
        precision=setting("gan/precision"),
        metric=setting("gan/metric"),
        metric_images=setting("gan/metric_images"),
        patience=setting("gan/patience"),
        resume=resume_path(),
        freezed=setting("gan/freezed"),
        mirror="--mirror" if config["gan"]["mirror"] else "--no-mirror",
        tick_kimg=setting("gan/tick_kimg"),
        snap=setting("gan/snap"),
        keep=setting("gan/keep"),
        seed=setting("seed"),
        code=code_digest("stylegan2 train"),
    shell:
        "stylegan2 train --data {input.data} --outdir {params.outdir} --cfg {params.cfg}"
        " --kimg {params.kimg} --batch {params.batch} --batch-gpu {params.batch_gpu}"
        " --gamma {params.gamma}"
        " --channel-base {params.channel_base} --channel-max {params.channel_max}"
        " --z-dim {params.z_dim} --w-dim {params.w_dim} --mapping-layers {params.mapping_layers}"
        " --lr {params.lr} --ema-kimg {params.ema_kimg} --aug {params.aug} --p {params.p}"
        " --target {params.target} --augpipe {params.augpipe} --ada-kimg {params.ada_kimg}"
        " --precision {params.precision}"
        " --metric {params.metric} --metric-images {params.metric_images}"
        " --patience {params.patience}"
        " --resume {params.resume:q} --freezed {params.freezed}"
        " {params.mirror} --tick-kimg {params.tick_kimg} --snap {params.snap}"
        " --keep {params.keep}"
        " --threads {threads} --seed {params.seed} 2> {log}"


rule gan_metrics:
    input:
        network=gan("network-final.safetensors"),
        data=results("packs/train.npy"),
        table=results("packs/train.parquet"),
        meta=results("packs/train.json"),
        held_out=results("packs/val.npy"),
        held_out_table=results("packs/val.parquet"),
        held_out_meta=results("packs/val.json"),
        weights=metric_weights(),
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
        num_images=setting("gan_metrics/num_images"),
        extractor=setting("gan_metrics/extractor"),
        weights=weights_option,
        batch=setting("gan_metrics/batch"),
        seed=setting("seed"),
        code=code_digest("stylegan2 metrics"),
    shell:
        "stylegan2 metrics --network {input.network} --data {input.data}"
        " --held-out {input.held_out} --num-images {params.num_images}"
        " --extractor {params.extractor} {params.weights} --batch {params.batch}"
        " --threads {threads} --seed {params.seed} --pairs {output.pairs}"
        " --metrics {output.metrics} 2> {log}"
