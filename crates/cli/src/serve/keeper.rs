//! The sessions of a store, when its type no longer matters.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cloakroom::{
    Access, Calling, Inventory, Key, Look, OpenError, SessionError, SweepBudget, Swept,
};
use cloakroom_axum::{SessionLayer, SessionManager, Settings, SettingsError};

use crate::store_url::Task;

/// The sessions of a store.
pub struct Keeper {
    /// What gives requests their session.
    pub layer: SessionLayer,
    /// How requests take it where their route does not say.
    pub access: Access,
    /// None: there is no store.
    pub sweep: Option<Sweep>,
    /// None: there is no store.
    pub look: Option<Looking>,
}

/// Removes some expired sessions.
pub type Sweep =
    Arc<dyn Fn(SweepBudget) -> Later<Result<Option<Swept>, SessionError>> + Send + Sync>;

/// Looks at a session as it was last committed, without waiting.
pub type Looking = Arc<dyn Fn(Key) -> Later<Result<Option<Look>, OpenError>> + Send + Sync>;

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes the sessions of a store by these settings.
pub struct Manage(pub Settings);

impl Task for Manage {
    type Output = Result<Keeper, SettingsError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let manager = SessionManager::new(store.clone(), self.0)?;
        let access = manager.access();
        let layer = SessionLayer::new(manager.clone());
        let sweep: Sweep = Arc::new(move |budget| {
            let manager = manager.clone();
            Box::pin(async move {
                match manager.sessions() {
                    Some(sessions) => sessions.sweep(budget).await.map(Some),
                    None => Ok(None),
                }
            })
        });
        let store = store.clone();
        let look: Looking = Arc::new(move |key| {
            let store = store.clone();
            Box::pin(async move { store.look(&key, Calling::Async).await })
        });
        Ok(Keeper { layer, access, sweep: Some(sweep), look: Some(look) })
    }
}

impl Keeper {
    /// Sessions sealed in the cookie.
    pub fn sealed(settings: Settings) -> Result<Self, SettingsError> {
        let manager = SessionManager::sealed(settings)?;
        let access = manager.access();
        Ok(Self { layer: SessionLayer::new(manager), access, sweep: None, look: None })
    }
}
