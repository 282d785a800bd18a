mod abilities;
mod effect;
mod failures;
mod ladder;
mod properties;
mod release;
mod whole;
mod world;
