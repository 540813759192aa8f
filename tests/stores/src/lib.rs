//! An object that runs the same random operations on the Worker's store, which is SQLite, and on the one in
//! memory that the room's tests use, and compares all results.

mod operations;

#[allow(dead_code)]
#[path = "../../../crates/snug-core/tests/room/store.rs"]
mod memory;
#[allow(dead_code, unused_imports)]
#[path = "../../../src/platform/mod.rs"]
mod platform;
#[allow(dead_code)]
#[path = "../../../src/room/store/mod.rs"]
mod store;
/// The parts of the Worker's module that the store uses.
#[path = "../../../src/object"]
mod object {
    #[allow(dead_code)]
    pub mod database;
    #[allow(dead_code)]
    pub mod text_cache;
}

use worker::{DurableObject, Env, Request, Response, Result, State, durable_object, event};

use self::operations::Operations;

/// Passes a request to the object that its path names.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: worker::Context) -> Result<Response> {
    let objects = env.durable_object("STORES")?;
    objects
        .get_by_name(request.url()?.path())?
        .fetch_with_request(request)
        .await
}

/// An object with a new storage.
#[durable_object]
pub struct Stores {
    state: State,
}

impl DurableObject for Stores {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    /// Runs the operations of `/SEED/COUNT`. Responds with what was compared, or with the first difference.
    async fn fetch(&self, request: Request) -> Result<Response> {
        let url = request.url()?;
        let mut numbers = url
            .path_segments()
            .into_iter()
            .flatten()
            .flat_map(str::parse);
        let (Some(seed), Some(count)) = (numbers.next(), numbers.next()) else {
            return Response::error("the path is not /SEED/COUNT", 400);
        };
        let mut operations = Operations::new(seed, &self.state)?;
        for number in 0..count {
            if let Err(difference) = operations.run_next() {
                return Response::error(format!("operation {number}: {difference}"), 500);
            }
        }
        Response::ok(operations.summary())
    }
}
