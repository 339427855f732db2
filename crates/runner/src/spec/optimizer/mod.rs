//! The optimisers of `[optimizer]`.

mod adam;
mod divided;
mod lbfgs;
mod sgd;
mod signs;

use crate::registry::{Registry, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.optimizer::<sgd::SgdSpec>()?;
    registry.optimizer::<adam::AdamSpec>()?;
    registry.optimizer::<adam::AdamWSpec>()?;
    registry.optimizer::<divided::RmsPropSpec>()?;
    registry.optimizer::<divided::AdagradSpec>()?;
    registry.optimizer::<divided::AdadeltaSpec>()?;
    registry.optimizer::<adam::AmsGradSpec>()?;
    registry.optimizer::<adam::NadamSpec>()?;
    registry.optimizer::<adam::AdamaxSpec>()?;
    registry.optimizer::<signs::LionSpec>()?;
    registry.optimizer::<signs::RpropSpec>()?;
    registry.optimizer::<lbfgs::LbfgsSpec>()
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

fn epsilon() -> f64 {
    1e-8
}

fn hundredth() -> f64 {
    0.01
}
