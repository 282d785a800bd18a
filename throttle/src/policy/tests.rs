mod world;

mod arming;
mod overflow;
mod properties;
mod select;
mod share;
