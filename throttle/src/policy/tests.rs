mod world;

mod arming;
mod example;
mod overflow;
mod properties;
mod select;
mod share;
