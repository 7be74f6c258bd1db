//! Requests that change something: create, update, patch, delete, evict, scale.

use std::sync::Arc;

use hyper::body::Incoming;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::api::{Call, Service};
use super::render::ListMeta;
use super::selector::Selector;
use super::status::Status;
use super::{body, discovery, patch};
use crate::admission::options::{self, Writing};
use crate::admission::pod::not_negative;
use crate::catalog::{NODE_POOLS, PODS, ResourceId};
use crate::cluster::store::{self, Deletion};
use crate::object::{Object, key};
use crate::world::World;

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

impl Service {
    /// Answers a request that changes the object at `place`.
    pub async fn write(&self, call: &Call, place: Place<'_>, body: Incoming) -> Result<Answer, Status> {
        let status_only = place.subresource == "status";
        let known = discovery::has_subresource(&place.resource, place.subresource);
        match (call.route.verb, place.subresource) {
            ("create", "") if place.name.is_empty() => self.create(call, place, body).await,
            ("create", "eviction") if place.resource == PODS => self.evict(call, place, body).await,
            ("update", "" | "status") if known => self.replace(call, place, status_only, body).await,
            ("patch", "" | "status") if known => self.patch(call, place, status_only, body).await,
            ("delete", "") => self.delete(call, place, body).await,
            ("deletecollection", "") => self.delete_all(call, place, body).await,
            ("get" | "update" | "patch", "scale") if known => self.scale(call, place, body).await,
            _ if known => Err(Status::method_not_allowed()),
            _ => Err(Status::no_resource()),
        }
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut World) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        self.owner.ask(change).await.ok_or_else(|| Status::internal("the server is shutting down"))?
    }

    async fn object(&self, call: &Call, code: u16, object: &Object, warnings: &[String]) -> Result<Answer, Status> {
        let render = self.render(call, object.resource).await?;
        let mut answer = answer::whole(code, render.format.content_type(false), render.object(object));
        answer::warn(&mut answer, warnings);
        Ok(answer)
    }

    async fn create(&self, call: &Call, place: Place<'_>, body: Incoming) -> Result<Answer, Status> {
        let (resource, namespace) = (place.resource, place.namespace.to_owned());
        if resource.namespaced && namespace.is_empty() {
            return Err(Status::method_not_allowed());
        }
        let writing = Writing::of(&call.query, "CreateOptions", &call.agent)?;
        let bytes = body::bytes(body).await?;
        let (value, warnings) = body::object(resource, &bytes, &call.content_type, writing.unknown)?;
        let made = self.change(move |world| store::create(world, resource, &namespace, value, &writing)).await;
        let made = made.map_err(|status| status.warning(&warnings))?;
        self.object(call, 201, &made, &warnings).await
    }

    async fn replace(
        &self,
        call: &Call,
        place: Place<'_>,
        status_only: bool,
        body: Incoming,
    ) -> Result<Answer, Status> {
        let (resource, at, name) = (place.resource, place.key(), place.name.to_owned());
        let writing = Writing::of(&call.query, "UpdateOptions", &call.agent)?;
        let bytes = body::bytes(body).await?;
        let (value, warnings) = body::object(resource, &bytes, &call.content_type, writing.unknown)?;
        if value["metadata"]["name"].is_null() {
            let message =
                format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
            return Err(Status::bad_request(message));
        }
        let stored = self
            .change(move |world| {
                store::update(world, resource, &at, &writing, status_only, |target| {
                    *target = value;
                    Ok(())
                })
            })
            .await;
        let (stored, ()) = stored.map_err(|status| status.warning(&warnings))?;
        self.object(call, 200, &stored, &warnings).await
    }

    async fn patch(&self, call: &Call, place: Place<'_>, status_only: bool, body: Incoming) -> Result<Answer, Status> {
        let (resource, at) = (place.resource, place.key());
        let kind = patch::Kind::of(&call.content_type).ok_or_else(Status::unsupported_patch)?;
        if kind == patch::Kind::Strategic && resource.custom {
            return Err(Status::no_strategic_patch());
        }
        let writing = Writing::of(&call.query, "PatchOptions", &call.agent)?;
        let changes = kind.read(&body::bytes(body).await?)?;
        if kind == patch::Kind::Apply {
            let (made, applied) =
                self.change(move |world| store::apply(world, resource, &at, &writing, status_only, &changes)).await?;
            return self.object(call, if made { 201 } else { 200 }, &applied, &[]).await;
        }
        let (stored, warnings) = self
            .change(move |world| {
                let unknown = writing.unknown;
                store::update(world, resource, &at, &writing, status_only, move |target| {
                    patch::apply(kind, target, &changes)?;
                    body::fit(resource, target, unknown)
                        .map_err(|why| Status::bad_result(&kind.shown(target, &changes), &why))
                })
            })
            .await?;
        self.object(call, 200, &stored, &warnings).await
    }

    async fn delete(&self, call: &Call, place: Place<'_>, body: Incoming) -> Result<Answer, Status> {
        let how = deletion(call, body).await?;
        let (resource, at) = (place.resource, place.key());
        let (object, gone) = self.change(move |world| store::delete(world, resource, &at, &how)).await?;
        // Some kinds tell their last state, and so does what is not gone yet.
        if !gone || resource.tells_last_state() {
            return self.object(call, 200, &object, &[]).await;
        }
        let uid = &object.value()["metadata"]["uid"];
        Ok(answer::json(200, &Status::deleted(&resource, place.name, uid)))
    }

    async fn delete_all(&self, call: &Call, place: Place<'_>, body: Incoming) -> Result<Answer, Status> {
        let (resource, namespace) = (place.resource, place.namespace.to_owned());
        if resource.namespaced && namespace.is_empty() || !resource.verbs().contains(&"deletecollection") {
            return Err(Status::method_not_allowed());
        }
        let render = self.render(call, resource).await?;
        let how = deletion(call, body).await?;
        let (labels, fields) = (call.query.get("labelSelector"), call.query.get("fieldSelector"));
        let selector = Selector::parse(&resource, labels, fields)?;
        let (objects, version) = self
            .change(move |world| {
                let all = world.snapshot(resource, &namespace).objects;
                let chosen: Vec<_> = all.iter().filter(|object| selector.matches(object)).cloned().collect();
                for object in &chosen {
                    store::delete(world, resource, &object.key, &how)?;
                }
                Ok((chosen, world.version()))
            })
            .await?;
        // The list tells what was deleted.
        let meta = ListMeta { version, ..ListMeta::default() };
        Ok(answer::list(render.format.content_type(false), render.list(&meta, objects), false, None))
    }

    async fn evict(&self, call: &Call, place: Place<'_>, body: Incoming) -> Result<Answer, Status> {
        let writing = Writing::of(&call.query, "CreateOptions", &call.agent)?;
        let eviction = body::value(&body::bytes(body).await?, &call.content_type)?;
        if eviction["metadata"]["name"].as_str().is_some_and(|name| name != place.name) {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let mut how = Deletion::of(&eviction["deleteOptions"])?;
        how.dry_run |= writing.dry_run;
        let at = place.key();
        self.change(move |world| store::evict(world, &at, &how)).await?;
        let done = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
        Ok(answer::json(201, &done))
    }

    async fn scale(&self, call: &Call, place: Place<'_>, body: Incoming) -> Result<Answer, Status> {
        let (resource, at, name) = (place.resource, place.key(), place.name.to_owned());
        if call.route.verb == "get" {
            let object = self.owner.ask(move |world| world.get(resource, &at)).await.flatten();
            let object = object.ok_or_else(|| Status::not_found(&resource, &name))?;
            return Ok(answer::json(200, &scale_of(&object.value())));
        }
        let kind = match call.route.verb {
            "patch" => Some(patch::Kind::of(&call.content_type).ok_or_else(Status::unsupported_patch)?),
            _ => None,
        };
        let writing = Writing::of(&call.query, "UpdateOptions", &call.agent)?;
        let bytes = body::bytes(body).await?;
        let changes = match kind {
            Some(kind) => kind.read(&bytes)?,
            None => body::value(&bytes, &call.content_type)?,
        };
        let (stored, ()) = self
            .change(move |world| {
                store::update(world, resource, &at, &writing, false, |target| {
                    let mut scale = scale_of(target);
                    match kind {
                        Some(kind) => patch::apply(kind, &mut scale, &changes)?,
                        None => scale = changes,
                    }
                    rescale(resource, target, &scale, &name)
                })
            })
            .await?;
        Ok(answer::json(200, &scale_of(&stored.value())))
    }
}

/// Gives a controller the number that a `Scale` asks for.
fn rescale(resource: ResourceId, target: &mut Value, scale: &Value, name: &str) -> Result<(), Status> {
    if let Some(other) = scale["metadata"]["name"].as_str().filter(|other| *other != name) {
        let message = format!("the name of the object ({other}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(message));
    }
    let version = &scale["metadata"]["resourceVersion"];
    if version.is_string() && *version != target["metadata"]["resourceVersion"] {
        return Err(Status::conflict(&resource, name));
    }
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0.into(),
        replicas if replicas.is_i64() => replicas.clone(),
        other => return Err(Status::bad_request(format!("spec.replicas: Invalid value: {other}"))),
    };
    if let Some(wrong) = not_negative("spec.replicas", &replicas) {
        return Err(Status::wrong("autoscaling", "Scale", name, &[wrong]));
    }
    target["spec"]["replicas"] = replicas;
    Ok(())
}

/// The `Scale` of a controller.
fn scale_of(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<_> =
        labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    let metadata = &object["metadata"];
    // A pool of Karpenter's counts its nodes (`statusReplicasPath` of its definition).
    let counted = if object["kind"] == NODE_POOLS.kind { "nodes" } else { "replicas" };
    let replicas = &object["status"][counted];
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": { "replicas": replicas.as_u64().unwrap_or(0), "selector": selector.join(",") },
    })
}

/// Options come in the body, or as parameters where there is none.
async fn deletion(call: &Call, body: Incoming) -> Result<Deletion, Status> {
    let given = body::optional(&body::bytes(body).await?, &call.content_type)?;
    let mut options = given.unwrap_or_else(|| json!({}));
    if !options.is_object() {
        return Err(Status::bad_request("the options of a deletion are not an object"));
    }
    if let Some(seconds) = call.query.signed("gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = seconds.into();
    }
    let policy = call.query.get("propagationPolicy");
    if !policy.is_empty() {
        options["propagationPolicy"] = policy.into();
    }
    options::deletion(&call.query, &options)?;
    let mut how = Deletion::of(&options)?;
    how.dry_run |= !call.query.get("dryRun").is_empty();
    Ok(how)
}
