mod world;

mod overflow;
mod select;
