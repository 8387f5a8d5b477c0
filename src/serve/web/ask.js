// Asking the service: its token, its being busy, its errors in words.

const TRIES = 3; // of a request that is answered 503
const byId = (id) => document.getElementById(id);

export class Refused extends Error {
  // answer: the JSON of the service, or {} where there was none
  constructor(message, answer = {}) {
    super(message);
    this.answer = answer;
  }
}

// A header holds no other letters; they are sent escaped, and told to be wrong by the service.
const forHeader = (token) =>
  token.replace(/[^\x20-\x7e]/gu, (letter) =>
    /^\p{Surrogate}$/u.test(letter) ? "?" : encodeURIComponent(letter));

export async function ask(path, options = {}, onBusy = () => {}) {
  for (let tried = 1; ; tried += 1) {
    const response = await send(path, options);
    if (response.status === 401) {
      const { error } = await json(response);
      await askForToken(error === "wrong_token");
      tried = 0;
      continue;
    }
    if (response.status === 503 && tried < TRIES) {
      const seconds = Number(response.headers.get("Retry-After") ?? 1) * tried;
      onBusy(`The service is busy; trying again in ${seconds} s.`);
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    if (response.status === 204) return null;
    const answer = await json(response);
    if (response.status === 503) {
      throw new Refused(`The service was busy ${TRIES} times. Try again in a while.`, answer);
    }
    if (!response.ok) {
      throw new Refused(sentence(answer.detail ?? `Status ${response.status}`), answer);
    }
    return answer;
  }
}

async function send(path, options) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${forHeader(token)}`;
  try {
    return await fetch(path, { ...options, headers });
  } catch {
    throw new Refused("The service does not answer. Is it still running?");
  }
}

const json = (response) => response.json().catch(() => ({}));

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

export const post = (path, fields, onBusy, headers = {}) => {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  return ask(path, { method: "POST", body, headers }, onBusy);
};

let asking = null; // one dialog, however many requests wait for it

function askForToken(wasWrong) {
  if (!wasWrong) sessionStorage.removeItem("token");
  asking ??= new Promise((done, failed) => {
    const dialog = byId("token-dialog");
    const field = byId("token");
    field.value = "";
    byId("token-wrong").textContent = wasWrong
      ? "The service did not take this token. Look whether it is whole."
      : "";
    field.setAttribute("aria-invalid", String(wasWrong));
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      asking = null;
      const token = field.value.trim();
      if (dialog.returnValue === "continue" && token) {
        sessionStorage.setItem("token", token);
        done();
      } else {
        sessionStorage.removeItem("token");
        failed(new Refused("Without its token the service does not answer."));
      }
    }, { once: true });
  });
  return asking;
}

byId("token-leave").addEventListener("click", () => byId("token-dialog").close("left"));
