//! A scripted world: connections over lines of given capacities, a scheduler that fills what is free, and policies that are obeyed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anabranch_config::{BitRate, Enforce, Per};
use anabranch_sniffer::{FourTuple, SubflowKind, Token};

use crate::intent::{Ceiling, Decisions, Hold};
use crate::policy::rules::{Act, PathRule, Rule, Rules, Thresholds};
use crate::policy::{Policies, Rules as _};
use crate::view::{Connection, ConnectionKey, Subflow, SubflowKey, View};
