"""Messages 900 to 919: export to other runtimes, and pipelines that run in them."""


class ExportErrors:
    E900 = (
        "This needs the package `{package}`. Install it with `pip install 'spacy-llm-tasks[onnx]'`."
    )
    E901 = (
        "onnxruntime cannot run the exported encoder: {error}. Install a newer onnxruntime, or "
        "export the pipeline again."
    )
    E902 = (
        "The encoder of this pipeline is an exported graph (spacy_llm_tasks.OnnxTransformer.v1): "
        "it has no weights to initialize, to copy or to save as a checkpoint. Do that with the "
        "pipeline that it was exported from, and export that one again."
    )
    E903 = (
        "The exported encoder does not give '{found}', only: {known}. Export a pipeline whose "
        "components read it."
    )
    E904 = (
        "'deferred_layers' sends texts through half of the encoder at a time, which an exported "
        "encoder cannot do. Train the component with deferred_layers = 0 and export it again."
    )
    E905 = (
        "The encoder of this pipeline is an exported graph (spacy_llm_tasks.OnnxTransformer.v1), "
        "which cannot be trained. Train the pipeline that it was exported from and export that "
        "one again, or freeze the encoder and let it annotate."
    )
    E906 = (
        "There is no `trf_encoder` in this pipeline to export. Its components: {found}. Export a "
        "pipeline that has one; an encoder inside a component, as `replace_listeners` leaves it, "
        "stays in PyTorch."
    )
    E907 = (
        "The encoder '{name}' is an exported graph already. Export the pipeline that it was "
        "exported from, or copy its folder."
    )
    E908 = (
        "The encoder '{name}' has weights in {found}, but a graph is made from those in float32. "
        "Load the pipeline without a precision, or the one it was reduced from; "
        "`--precision int8` rounds the graph."
    )
    E909 = (
        "The graph of '{name}' does not give what PyTorch gives: the largest difference is "
        "{found:.1e}, expected at most {limit:.0e}. Nothing was written. Try other versions of "
        "torch, onnxscript and onnxruntime."
    )
    E910 = (
        "The encoder has {found} bytes of weights, but an ONNX file holds at most {limit}. Only "
        "smaller encoders can be exported."
    )
    E911 = (
        "PyTorch {torch} could not export it: {error}. Install other versions of torch and "
        "onnxscript, if this is none of your own layers."
    )
    E912 = "{path} exists already. Choose another output, or remove it."
