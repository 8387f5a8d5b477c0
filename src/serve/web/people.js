// Enrol, list and forget people, and search among them.

import { ask, post } from "./ask.js";
import { PhotoPlace, element } from "./place.js";
import { number, percent } from "./scale.js";

const byId = (id) => document.getElementById(id);
const photoCount = (count) => (count === 1 ? "1 photo" : `${count} photos`);

export function say(id, text, isGood = false) {
  byId(id).textContent = text;
  byId(id).classList.toggle("good", isGood);
  byId(id).classList.toggle("empty", !text);
}

export const probe = new PhotoPlace(byId("probe"), "Photo to search for", search);

async function search(place) {
  const [file, face] = [place.file, place.face];
  const isOld = () => place.file !== file || place.face !== face;
  place.say("");
  byId("matches").replaceChildren();
  place.busy(true);
  try {
    const path = `/v1/search?crop=true&face=${face}`;
    const answer = await post(path, [["image", file]], (text) => place.say(text, true));
    if (isOld()) return;
    place.busy(false);
    place.show(answer);
    byId("matches").replaceChildren(...answer.matches.map((m) => match(m, answer.threshold)));
    if (!answer.matches.length) place.say("Nobody is enrolled yet.");
  } catch (error) {
    if (isOld()) return;
    place.busy(false);
    place.refuse(error);
  }
}

function match({ name, similarity, same }, threshold) {
  const row = element("li");
  const bar = element("span", "", same ? "bar alike" : "bar");
  bar.setAttribute("aria-hidden", "true");
  const [length, limit] = [element("i"), element("u")];
  length.style.width = percent(similarity);
  limit.style.left = percent(threshold);
  bar.append(length, limit);
  const label = element("b", number(similarity, 2), same ? "alike" : "apart");
  row.append(element("span", name), label, bar);
  return row;
}

byId("enrol").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  const photos = [...byId("photos").files].map((file) => ["image", file]);
  const allow = [...event.target.querySelectorAll("[name=allow]:checked")].map((one) => one.value);
  say("enrol-message", "Enrolling\u2026", true);
  button.disabled = true;
  // The same key for each try: an answer that was lost enrols nobody twice.
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const path = `/v1/enroll?${new URLSearchParams(allow.map((one) => ["allow", one]))}`;
  try {
    const fields = [["name", byId("name").value], ...photos];
    const busy = (text) => say("enrol-message", text, true);
    const person = await post(path, fields, busy, { "Idempotency-Key": key });
    say("enrol-message", `${person.name} is enrolled with ${photoCount(person.photos)}.`, true);
    event.target.reset();
    await listPeople();
  } catch (error) {
    const which = error.answer?.photo ? `${error.answer.photo.file_name}: ` : "";
    say("enrol-message", which + error.message);
  } finally {
    button.disabled = false;
  }
});

export async function listPeople() {
  const people = await ask("/v1/people");
  byId("count").textContent = people.length || "";
  byId("nobody").hidden = people.length > 0;
  byId("list").replaceChildren(...people.map(person));
}

function person({ name, photos }) {
  const row = element("li");
  const label = element("span", `${name} `);
  label.append(element("span", photoCount(photos), "quiet"));
  const list = element("ul", "", "photos");
  list.hidden = true;
  const show = element("button", "Photos");
  show.setAttribute("aria-label", `Photos of ${name}`);
  show.setAttribute("aria-expanded", "false");
  show.addEventListener("click", () => showPhotos(name, list, show));
  const button = element("button", "Forget", "warn");
  button.setAttribute("aria-label", `Forget ${name}`);
  button.addEventListener("click", () => forget(
    `Forget ${name} and all photos of ${name}?`, `/v1/people/${encodeURIComponent(name)}`, `${name} is forgotten.`,
  ));
  const buttons = element("span", "", "buttons");
  buttons.append(show, button);
  row.append(label, buttons, list);
  return row;
}

async function showPhotos(name, list, button) {
  list.hidden = !list.hidden;
  button.setAttribute("aria-expanded", String(!list.hidden));
  if (list.hidden) return;
  try {
    const photos = await ask(`/v1/photos?name=${encodeURIComponent(name)}`);
    list.replaceChildren(...photos.map((photo) => {
      const row = element("li");
      const when = photo.added ? new Date(1000 * photo.added).toLocaleString() : "earlier";
      const what = `${when}${photo.score ? `, score ${photo.score.toFixed(2)}` : ""}`;
      const gone = element("button", "Delete", "warn");
      gone.setAttribute("aria-label", `Delete the photo of ${name} of ${when}`);
      gone.addEventListener("click", () => forget(
        `Delete this photo of ${name}?`, `/v1/photos/${photo.id}`, `A photo of ${name} is deleted.`,
      ));
      row.append(element("span", what), gone);
      return row;
    }));
  } catch (error) {
    say("enrol-message", error.message);
  }
}

async function forget(question, path, done) {
  if (!confirm(question)) return;
  try {
    await ask(path, { method: "DELETE" });
    say("enrol-message", done, true);
    await listPeople();
  } catch (error) {
    say("enrol-message", error.message);
  }
}
