// A photo from the camera: nothing is sent before it is taken.

const byId = (id) => document.getElementById(id);

// Resolves to a File, or to null where the dialog was left.
export async function openCamera() {
  const dialog = byId("camera-dialog");
  const video = byId("camera-view");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
  } catch (error) {
    const isDenied = error.name === "NotAllowedError";
    throw new Error(isDenied ? "The browser did not allow the camera." : "There is no camera that can be used.");
  }
  try {
    video.srcObject = stream;
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
    return dialog.returnValue === "take" ? await picture(video) : null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}

async function picture(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
  if (!blob) throw new Error("The camera gave no picture.");
  return new File([blob], "camera.jpg", { type: "image/jpeg" });
}

byId("camera-leave").addEventListener("click", () => byId("camera-dialog").close("left"));
