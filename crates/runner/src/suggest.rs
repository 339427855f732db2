//! "Did you mean `learning_rate`?": names near to a wrong one, and the spellings of other projects.

/// A longer word is no slip of the pen, and comparing it would take long.
const LONGEST_WORD: usize = 64;

/// The name that was probably meant: the first of the [`alias`]es that is allowed, else the [`nearest`] one.
pub fn suggest<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let is_allowed = |name: &&str| allowed.clone().into_iter().find(|other| other == name);
    alias(word).iter().find_map(is_allowed).or_else(|| nearest(word, allowed.clone()))
}

/// The nearest of the candidates, if one is near enough to be meant: equal up to case, `_` and `-`, or apart
/// by few slips (a letter too many, missing, wrong, or two swapped).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let plain = plain(word);
    let distance =
        |candidate: &'a str| (strsim::damerau_levenshtein(&plain, &self::plain(candidate)), candidate);
    let near = |&(distance, candidate): &(usize, &str)| distance <= slips(&plain, candidate);
    candidates
        .into_iter()
        .map(distance)
        .filter(near)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// How many slips a word may hold: a third of it, but none in words so short that any is near to any other.
fn slips(word: &str, candidate: &str) -> usize {
    match word.chars().count().min(candidate.chars().count()) {
        0..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        _ => 3,
    }
}

fn plain(word: &str) -> String {
    word.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// What a word of another project (Keras, PyTorch, Caffe, scikit-learn, JAX ...) is called here. There may be
/// several names; the right one is the first that is allowed in the place of the word.
pub fn alias(word: &str) -> &'static [&'static str] {
    if word.len() > LONGEST_WORD {
        return &[];
    }
    let plain = plain(word);
    let tables = [
        schedule_alias,
        optimizer_alias,
        layer_alias,
        function_alias,
        initializer_alias,
        training_alias,
        data_alias,
    ];
    tables.iter().map(|table| table(&plain)).find(|names| !names.is_empty()).unwrap_or(&[])
}

fn optimizer_alias(word: &str) -> &'static [&'static str] {
    match word {
        "lr"
        | "eta"
        | "eta0"
        | "learnrate"
        | "learningrateinit"
        | "baselr"
        | "initiallr"
        | "initiallearningrate" => &["learning_rate"],
        "alpha" => &["learning_rate", "slope", "weight_decay"],
        "decay" | "weightdecay" | "l2" | "wd" | "l2reg" | "regparam" | "lambda" => &["weight_decay", "mse"],
        "etas" => &["eta_minus", "eta_plus"],
        "etaminus" | "etanegative" => &["eta_minus"],
        "etaplus" | "etapositive" => &["eta_plus"],
        "stepsizes" | "stepsizemin" | "deltamin" => &["min_step_size"],
        "stepsizemax" | "deltamax" => &["max_step_size"],
        "learningratedecay" => &["lr_decay", "lr_schedule"],
        "initialaccumulator" | "accumulator" => &["initial_accumulator_value"],
        "momentumschedule" => &["momentum_decay"],
        "betas" | "beta" => &["beta1", "beta2", "momentum"],
        "beta1" | "b1" => &["beta1"],
        "beta2" | "b2" => &["beta2"],
        "eps" | "fuzz" | "delta" => &["epsilon", "delta"],
        "mu" | "mom" => &["momentum"],
        "rmspropdecay" | "decayrate" => &["rho"],
        "nesterovmomentum" | "nesterovsmomentum" => &["nesterov"],
        "clip" | "clipnorm" | "gradclip" | "clipgradients" | "gradientclip" | "gradientclipval"
        | "maxgradnorm" | "globalclipnorm" | "clipgradientnorm" => &["clip_grad_norm"],
        "maxnorm" | "maxnormconstraint" | "kernelconstraint" => &["max_norm", "clip_grad_norm"],
        "l1reg" | "l1regularization" | "l1lambda" | "lasso" => &["l1"],
        "paramgroups" | "parametergroups" | "group" => &["groups"],
        "clipvalue" | "clipgradientvalue" => &["clip_grad_value"],
        "historylength" | "memorysize" | "numcorrections" => &["history_size"],
        "quasinewton" | "bfgs" => &["lbfgs"],
        "ams" | "adamamsgrad" => &["amsgrad"],
        "rpropminus" | "irprop" | "resilient" => &["rprop"],
        "smoothing" | "labelsmooth" | "labelsmoothingfactor" => &["label_smoothing"],
        "stochasticgradientdescent" | "gd" | "momentumsgd" => &["sgd"],
        _ => &[],
    }
}

fn schedule_alias(word: &str) -> &'static [&'static str] {
    match word {
        "lrscheduler" | "scheduler" | "schedule" | "learningrateschedule" | "lrpolicy" | "lrdecay" => {
            &["lr_schedule"]
        }
        "steplr" | "stepdecay" => &["step"],
        "multisteplr" | "piecewise" | "piecewiseconstant" => &["multistep"],
        "exponentiallr" | "exp" | "exponentialdecay" => &["exponential"],
        "cosineannealing" | "cosineannealinglr" | "cosinedecay" | "cosineannealingwarmrestarts" => {
            &["cosine"]
        }
        "linearlr" => &["linear"],
        "poly" | "polynomiallr" | "polynomialdecay" => &["polynomial"],
        "inversesquareroot" | "invsqrt" | "rsqrt" | "noam" => &["inverse_sqrt"],
        "onecyclelr" | "cyclic" | "1cycle" => &["one_cycle"],
        "stepsize" => &["every_steps", "learning_rate"],
        "tmax" | "t0" | "totaliters" => &["decay_steps"],
        "totalsteps" => &["cycle_steps", "decay_steps"],
        "tmult" => &["restart_growth"],
        "gamma" => &["factor"],
        "milestones" => &["milestone_epochs"],
        "pctstart" => &["rise"],
        "endfactor" | "etamin" | "minlr" | "alphaf" => &["final_factor"],
        "warmup" | "warmupiters" | "numwarmupsteps" => &["warmup_steps"],
        "requiresgrad" | "frozen" | "freeze" => &["trainable"],
        "lrmultiplier" | "lrscale" | "lrfactor" => &["lr_mult"],
        _ => &[],
    }
}

fn layer_alias(word: &str) -> &'static [&'static str] {
    match word {
        "numoutput" | "outfeatures" | "nunits" | "numunits" | "neurons" | "nneurons" | "hiddensize"
        | "hidden" | "hiddenunits" | "nodes" | "outputs" | "outputsize" | "outputdim" | "width" | "nout" => {
            &["units"]
        }
        "dim" | "embeddingdim" | "embeddim" | "embeddingsize" | "dimension" => &["units", "axis"],
        "dmodel" | "modeldim" => &["units"],
        "dff" | "dimfeedforward" | "ffdim" | "intermediatesize" | "intermediatedim" | "mlpdim" => {
            &["feed_forward"]
        }
        "normfirst" | "normalizefirst" | "prenorm" => &["norm"],
        "size" => &["units", "kernel_size", "pool_size"],
        "outchannels" | "numfilters" | "nfilters" | "channels" | "nkernels" | "featuremaps" => &["filters"],
        "kernel" | "filtersize" | "ksize" | "window" | "windowsize" => &["kernel_size", "pool_size"],
        "kernelsize" => &["kernel_size", "pool_size"],
        "poolsize" => &["pool_size", "kernel_size"],
        "strides" | "subsample" | "step" => &["stride"],
        "pad" | "pads" | "bordermode" => &["padding"],
        "dilationrate" | "dilations" => &["dilation"],
        "group" | "numgroups" => &["groups"],
        "p" | "prob" | "probability" | "dropoutratio" | "dropoutrate" | "keepprob" | "ratio" => &["rate"],
        "numembeddings" | "inputdim" | "vocab" | "vocabsize" | "vocabularysize" | "numtokens" | "ntoken" => {
            &["vocabulary", "classes"]
        }
        "paddingidx" | "padidx" | "padindex" | "padtoken" | "padtokenid" | "maskzero" => {
            &["padding_index", "mask_value"]
        }
        "nheads" | "numheads" | "nhead" | "numattentionheads" => &["heads"],
        "iscausal" | "usecausalmask" => &["causal"],
        "returnsequence" | "returnseq" | "batchfirst" => &["return_sequences"],
        "nonlinearity" | "act" | "activationfunction" | "transferfunction" | "activationfn" => {
            &["activation"]
        }
        "usebias" | "biasterm" | "hasbias" => &["bias", "use_bias"],
        "bottom" | "input" | "inboundnodes" => &["inputs", "x", "input"],
        "fc" | "linear" | "linearlayer" | "fullyconnected" | "innerproduct" | "affine" | "denselayer"
        | "ip" => &["dense"],
        "conv" | "convolution" | "convolution2d" | "convolutional" => &["conv2d"],
        "convolution1d" => &["conv1d"],
        "maxpool" | "maxpooling" | "maxpooling2d" | "maxpool2d" => &["max_pool2d"],
        "avgpool" | "avgpool2d" | "averagepooling2d" | "averagepool2d" | "averagepool" | "meanpool" => {
            &["average_pool2d", "avg_pool2d"]
        }
        "globalavgpool" | "globalaveragepooling2d" | "gap" | "adaptiveavgpool2d" => {
            &["global_average_pool2d", "global_average_pool", "global_avg_pool2d"]
        }
        "batchnormalization" | "batchnorm1d" | "batchnorm2d" | "bn" => &["batch_norm"],
        "layernormalization" | "ln" => &["layer_norm"],
        "groupnormalization" | "gn" | "instancenorm" | "instancenorm1d" | "instancenorm2d" => &["group_norm"],
        "rmsnormalization" | "rootmeansquarenorm" => &["rms_norm"],
        "elementwiseaffine" => &["affine"],
        "dropout1d" | "dropout2d" | "spatialdropout1d" | "spatialdropout2d" => &["spatial_dropout"],
        "noise" => &["gaussian_noise"],
        "parametricrelu" => &["prelu"],
        "minus" | "difference" | "sub" => &["subtract"],
        "embed" | "embeddings" | "lookuptable" => &["embedding"],
        "concatenate" | "cat" | "merge" => &["concat"],
        "sum" | "eltwise" => &["add"],
        "skip" | "skipconnection" | "shortcut" | "resblock" | "residualblock" => &["residual"],
        "transformer" | "transformerencoder" | "transformerencoderlayer" | "encoderlayer" => {
            &["transformer_block"]
        }
        "positionembedding" | "positionalencoding" | "positions" | "learnedpositions" => {
            &["positional_embedding"]
        }
        "sinepositionencoding" | "sinusoidal" | "sinusoidalencoding" => &["sinusoidal_positions"],
        "mul" => &["multiply"],
        "mha" | "attention" | "selfattention" | "multiheadattention" => &["multi_head_attention"],
        "simplernn" | "elman" | "vanillarnn" => &["rnn"],
        _ => &[],
    }
}

fn function_alias(word: &str) -> &'static [&'static str] {
    match word {
        "logistic" | "logsig" | "sigm" | "expit" => &["sigmoid"],
        "tansig" | "hyperbolictangent" => &["tanh"],
        "rectifier" | "rectify" | "rectifiedlinear" | "ramp" => &["relu"],
        "lrelu" | "leakyrectify" | "leaky" | "prelu" => &["leaky_relu"],
        "swish" => &["silu"],
        "identity" | "none" | "purelin" | "noactivation" => &["linear"],
        "htanh" => &["hard_tanh"],
        "hsigmoid" => &["hard_sigmoid"],
        "logsoftmax" => &["softmax"],
        "negativeslope" | "leak" => &["slope"],
        "crossentropy"
        | "crossentropyloss"
        | "categoricalcrossentropy"
        | "sparsecategoricalcrossentropy"
        | "nll"
        | "nllloss"
        | "softmaxloss"
        | "softmaxwithloss"
        | "softmaxcrossentropy"
        | "xent"
        | "ce" => &["cross_entropy"],
        "bce"
        | "bceloss"
        | "binarycrossentropy"
        | "logloss"
        | "bcewithlogits"
        | "bcewithlogitsloss"
        | "sigmoidcrossentropy"
        | "sigmoidcrossentropyloss" => &["binary_cross_entropy", "cross_entropy"],
        "meansquarederror" | "meansquareerror" | "l2loss" | "squarederror" | "mseloss" | "euclideanloss"
        | "quadratic" | "squaredloss" => &["mse"],
        "meanabsoluteerror" | "l1" | "l1loss" | "absoluteerror" => &["mae"],
        "smoothl1" | "smoothl1loss" | "huberloss" => &["huber"],
        "kld" | "kldiv" | "kl" | "kldivloss" | "kullbackleibler" | "kldivergence" => &["kl_divergence"],
        "hingeloss" | "svm" => &["hinge"],
        "logits" => &["from_logits"],
        _ => &[],
    }
}

fn initializer_alias(word: &str) -> &'static [&'static str] {
    match word {
        "glorotuniform" | "xavier" | "glorot" => &["xavier_uniform"],
        "glorotnormal" => &["xavier_normal"],
        "kaiminguniform" | "he" | "kaiming" => &["he_uniform"],
        "kaimingnormal" | "msra" => &["he_normal"],
        "lecun" => &["lecun_normal"],
        "zero" => &["zeros"],
        "one" => &["ones"],
        "gaussian" | "randomnormal" | "truncatednormal" | "randn" => &["normal"],
        "randomuniform" => &["uniform"],
        "kernelinitializer" | "weightinitializer" | "weightfiller" | "kernelinit" | "init"
        | "initializer" | "weightsinit" => &["weight_init"],
        "biasinitializer" | "biasfiller" => &["bias_init"],
        "recurrentinitializer" => &["recurrent_init"],
        "stddev" | "sigma" | "scale" | "standarddeviation" => &["std"],
        "loc" => &["mean"],
        "minval" | "lower" => &["low", "min"],
        "maxval" | "upper" => &["high", "max"],
        "fill" | "const" => &["constant", "value"],
        _ => &[],
    }
}

fn training_alias(word: &str) -> &'static [&'static str] {
    match word {
        "maxiter" | "nepochs" | "numepochs" | "maxepochs" | "epoch" | "niter" | "iterations" | "nbepoch" => {
            &["epochs"]
        }
        "batch" | "minibatch" | "minibatchsize" | "batchsize" | "bs" => &["batch_size"],
        "randomstate" | "randomseed" | "rngseed" => &["seed"],
        "optimiser" | "opt" | "optim" => &["optimizer"],
        "nn" | "network" | "net" => &["model"],
        "criterion" | "objective" | "lossfunction" | "lossfn" => &["loss"],
        "training" | "solver" | "trainer" | "fit" => &["train"],
        "scheduler" | "lrscheduler" | "schedule" | "lrpolicy" | "learningrateschedule" => &["lr_schedule"],
        "earlystop" => &["early_stopping"],
        "metric" => &["metrics", "report"],
        "acc" | "accuracyscore" | "categoricalaccuracy" | "binaryaccuracy" => &["accuracy"],
        "confusion" => &["confusion_matrix"],
        "f1score" | "fscore" | "f1macro" => &["f1"],
        "sensitivity" => &["recall"],
        "rootmeansquarederror" => &["rmse"],
        "r2score" | "rsquared" => &["r2"],
        "testsplit" | "testfraction" | "testsize" => &["test"],
        "checkpoints" | "snapshot" => &["checkpoint"],
        "display" | "logfrequency" | "logevery" | "loginterval" | "verbose" => &["log_every"],
        "nthreads" | "numthreads" | "njobs" | "workers" | "numworkers" => &["threads"],
        "float32" | "float" | "single" | "fp32" => &["f32"],
        "float64" | "double" | "fp64" => &["f64"],
        "precision" => &["dtype"],
        "include" | "inherits" | "base" => &["extends"],
        "weights" | "pretrained" | "pretrainedweights" => &["initial_weights"],
        _ => &[],
    }
}

fn data_alias(word: &str) -> &'static [&'static str] {
    match word {
        "dataset" | "datasets" => &["data"],
        "xtrain" | "inputs" | "trainx" => &["x"],
        "ytrain" | "labels" | "trainy" | "label" => &["y", "targets", "names"],
        "target" => &["targets", "y"],
        "feature" | "featurenames" | "columns" => &["features"],
        "file" | "filename" | "source" | "csvpath" => &["path"],
        "validationsplit" | "validfraction" | "valsplit" | "valfraction" => &["validation"],
        "delimiter" | "sep" => &["separator", "delimiter"],
        "normalize" | "normalise" | "scaling" | "preprocessing" => &["scale"],
        "zscore" | "standardize" | "standardscaler" => &["standard", "standardize"],
        "minmaxscaler" => &["min_max", "minmax"],
        "classnames" => &["names", "classes"],
        "maskingvalue" => &["mask_value"],
        "shape" => &["input_shape"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_pen() {
        let names = ["learning_rate", "momentum", "units", "mse", "mae", "x", "y", "relu", "selu", "gelu"];
        let near = |word| nearest(word, names);
        assert_eq!(near("learing_rate"), Some("learning_rate"));
        assert_eq!(near("LearningRate"), Some("learning_rate"));
        assert_eq!(near("learning-rate"), Some("learning_rate"));
        assert_eq!(near("unit"), Some("units"));
        assert_eq!(near("momnetum"), Some("momentum"));
        assert_eq!(near("rleu"), Some("relu"));
        assert_eq!(near("X"), Some("x"));
    }

    #[test]
    fn finds_nothing_where_nothing_is_near() {
        for word in ["z", "foo", "rate", "", "ms", "weights"] {
            assert_eq!(nearest(word, ["learning_rate", "momentum", "mse", "x"]), None, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), ["x"]), None);
        assert!(alias(&"x".repeat(1_000_000)).is_empty());
    }

    #[test]
    fn knows_the_words_of_other_projects() {
        for (word, name) in [
            ("lr", "learning_rate"),
            ("num_output", "units"),
            ("glorot_uniform", "xavier_uniform"),
            ("kaiming_normal", "he_normal"),
            ("logistic", "sigmoid"),
            ("max_iter", "epochs"),
            ("batch", "batch_size"),
            ("negative_slope", "slope"),
            ("weightdecay", "weight_decay"),
            ("random_state", "seed"),
            ("beta_1", "beta1"),
            ("eps", "epsilon"),
            ("Linear", "dense"),
            ("InnerProduct", "dense"),
            ("CrossEntropyLoss", "cross_entropy"),
            ("binary_crossentropy", "binary_cross_entropy"),
            ("l1_loss", "mae"),
            ("kld", "kl_divergence"),
            ("swish", "silu"),
            ("lrelu", "leaky_relu"),
            ("optimiser", "optimizer"),
            ("x_train", "x"),
            ("kernel_initializer", "weight_init"),
            ("float64", "f64"),
        ] {
            assert!(alias(word).contains(&name), "{word}");
        }
    }

    #[test]
    fn suggests_only_what_is_allowed_in_the_place() {
        assert_eq!(suggest("alpha", ["learning_rate", "momentum"]), Some("learning_rate"));
        assert_eq!(suggest("alpha", ["type", "slope"]), Some("slope"));
        assert_eq!(suggest("lr", ["units", "activation"]), None);
        assert_eq!(suggest("l2", ["mse", "mae"]), Some("mse"));
        assert_eq!(suggest("size", ["pool_size"]), Some("pool_size"));
    }
}
