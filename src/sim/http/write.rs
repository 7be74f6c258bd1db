//! Requests that change something: create, update, patch, delete, evict, scale.

use std::sync::Arc;

use hyper::body::Incoming;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::api::{Call, Service, json_body, optional_body};
use super::patch;
use super::selector::Selector;
use super::status::Status;
use crate::sim::catalog::{DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS, ResourceId, SERVICES, STATEFUL_SETS};
use crate::sim::cluster::store::{self, Deletion, Write};
use crate::sim::object::{Object, key};
use crate::sim::world::World;

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub resource: ResourceId,
    pub namespace: &'a str,
    pub name: &'a str,
    pub subresource: &'a str,
}

impl Place<'_> {
    fn key(&self) -> Arc<str> {
        key(self.namespace, self.name)
    }
}

/// Whether a resource has a `scale`.
pub fn scales(resource: ResourceId) -> bool {
    matches!(resource, DEPLOYMENTS | REPLICA_SETS | STATEFUL_SETS)
}

impl Service {
    /// Answers a request that changes the object at `place`.
    pub async fn write(
        &self,
        call: &Call,
        place: Place<'_>,
        content_type: &str,
        body: Incoming,
    ) -> Result<Answer, Status> {
        let dry_run = call.query.get("dryRun") == "All";
        let status_only = place.subresource == "status";
        match (call.route.verb, place.subresource) {
            ("create", "") if place.name.is_empty() => self.create(call, place, dry_run, body).await,
            ("create", "eviction") if place.resource == PODS => self.evict(place, dry_run, body).await,
            ("update", "" | "status") => {
                let value = json_body(body).await?;
                let write = Write { status_only, dry_run };
                self.update(call, place, write, move |target| {
                    *target = value;
                    Ok(())
                })
                .await
            }
            ("patch", "" | "status") => {
                let kind = patch::Kind::of(content_type).ok_or_else(Status::unsupported_patch)?;
                let changes = json_body(body).await?;
                let write = Write { status_only, dry_run };
                self.update(call, place, write, move |target| patch::apply(kind, target, &changes)).await
            }
            ("delete", "") => self.delete(call, place, dry_run, body).await,
            ("deletecollection", "") => self.delete_all(call, place, dry_run, body).await,
            ("get" | "update" | "patch", "scale") if scales(place.resource) => {
                self.scale(call, place, dry_run, content_type, body).await
            }
            (_, "" | "status") => Err(Status::method_not_allowed()),
            _ => Ok(answer::whole(404, "text/plain", "404 page not found\n")),
        }
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut World) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        self.owner.ask(change).await.ok_or_else(|| Status::internal("the server is shutting down"))?
    }

    async fn object(&self, call: &Call, code: u16, object: &Object) -> Result<Answer, Status> {
        let render = self.render(call, object.resource).await?;
        Ok(answer::whole(code, render.format.content_type(false), render.object(object)))
    }

    async fn create(&self, call: &Call, place: Place<'_>, dry_run: bool, body: Incoming) -> Result<Answer, Status> {
        let value = json_body(body).await?;
        let (resource, namespace) = (place.resource, place.namespace.to_owned());
        if resource.namespaced && namespace.is_empty() {
            return Err(Status::method_not_allowed());
        }
        let made = self.change(move |world| store::create(world, resource, &namespace, value, dry_run)).await?;
        self.object(call, 201, &made).await
    }

    async fn update(
        &self,
        call: &Call,
        place: Place<'_>,
        write: Write,
        change: impl FnOnce(&mut Value) -> Result<(), Status> + Send + 'static,
    ) -> Result<Answer, Status> {
        let (resource, at) = (place.resource, place.key());
        let stored = self.change(move |world| store::update(world, resource, &at, write, change)).await?;
        self.object(call, 200, &stored).await
    }

    async fn delete(&self, call: &Call, place: Place<'_>, dry_run: bool, body: Incoming) -> Result<Answer, Status> {
        let how = deletion(call, dry_run, body).await?;
        let (resource, at) = (place.resource, place.key());
        let (object, gone) = self.change(move |world| store::delete(world, resource, &at, &how)).await?;
        // Some kinds tell their last state, and so does what is not gone yet.
        if !gone || matches!(resource, PODS | SERVICES | NAMESPACES) {
            return self.object(call, 200, &object).await;
        }
        let uid = &object.value()["metadata"]["uid"];
        Ok(answer::json(200, &Status::deleted(&resource, place.name, uid)))
    }

    async fn delete_all(&self, call: &Call, place: Place<'_>, dry_run: bool, body: Incoming) -> Result<Answer, Status> {
        let how = deletion(call, dry_run, body).await?;
        let (labels, fields) = (call.query.get("labelSelector"), call.query.get("fieldSelector"));
        let selector = Selector::parse(&place.resource, labels, fields)?;
        let (resource, namespace) = (place.resource, place.namespace.to_owned());
        self.change(move |world| {
            for object in world.snapshot(resource, &namespace).objects.iter().filter(|object| selector.matches(object))
            {
                store::delete(world, resource, &object.key, &how)?;
            }
            Ok(())
        })
        .await?;
        let done = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
        Ok(answer::json(200, &done))
    }

    async fn evict(&self, place: Place<'_>, dry_run: bool, body: Incoming) -> Result<Answer, Status> {
        let eviction = json_body(body).await?;
        if eviction["metadata"]["name"].as_str().is_some_and(|name| name != place.name) {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let mut how = Deletion::of(&eviction["deleteOptions"])?;
        how.dry_run |= dry_run;
        let at = place.key();
        self.change(move |world| store::evict(world, &at, &how)).await?;
        let done = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
        Ok(answer::json(201, &done))
    }

    async fn scale(
        &self,
        call: &Call,
        place: Place<'_>,
        dry_run: bool,
        content_type: &str,
        body: Incoming,
    ) -> Result<Answer, Status> {
        let (resource, at, name) = (place.resource, place.key(), place.name.to_owned());
        if call.route.verb == "get" {
            let object = self.owner.ask(move |world| world.get(resource, &at)).await.flatten();
            let object = object.ok_or_else(|| Status::not_found(&resource, &name))?;
            return Ok(answer::json(200, &scale_of(&object.value())));
        }
        let kind = match call.route.verb {
            "patch" => Some(patch::Kind::of(content_type).ok_or_else(Status::unsupported_patch)?),
            _ => None,
        };
        let changes = json_body(body).await?;
        let write = Write { status_only: false, dry_run };
        let stored = self
            .change(move |world| {
                store::update(world, resource, &at, write, |target| {
                    let mut scale = scale_of(target);
                    match kind {
                        Some(kind) => patch::apply(kind, &mut scale, &changes)?,
                        None => scale = changes,
                    }
                    let version = &scale["metadata"]["resourceVersion"];
                    if version.is_string() && *version != target["metadata"]["resourceVersion"] {
                        return Err(Status::conflict(&resource, &name));
                    }
                    target["spec"]["replicas"] = match &scale["spec"]["replicas"] {
                        Value::Null => 0.into(),
                        replicas if replicas.is_i64() || replicas.is_u64() => replicas.clone(),
                        other => return Err(Status::bad_request(format!("spec.replicas: Invalid value: {other}"))),
                    };
                    Ok(())
                })
            })
            .await?;
        Ok(answer::json(200, &scale_of(&stored.value())))
    }
}

/// The `Scale` of a controller.
fn scale_of(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<_> =
        labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    let metadata = &object["metadata"];
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": { "replicas": object["status"]["replicas"].as_u64().unwrap_or(0), "selector": selector.join(",") },
    })
}

/// Options come in the body, or as parameters where there is none.
async fn deletion(call: &Call, dry_run: bool, body: Incoming) -> Result<Deletion, Status> {
    let mut options = optional_body(body).await?.unwrap_or_else(|| json!({}));
    if !options.is_object() {
        return Err(Status::bad_request("the options of a deletion are not an object"));
    }
    if let Some(seconds) = call.query.number("gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = seconds.into();
    }
    let policy = call.query.get("propagationPolicy");
    if !policy.is_empty() {
        options["propagationPolicy"] = policy.into();
    }
    let mut how = Deletion::of(&options)?;
    how.dry_run |= dry_run;
    Ok(how)
}
