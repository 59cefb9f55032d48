// The line that moves over the pictures of an utterance while it plays; a click on a picture goes there.
for (const example of document.querySelectorAll(".example")) {
  const audio = example.querySelector("audio");
  const { left, right, seconds } = example.dataset;
  const pictures = [...example.querySelectorAll(".timeline")];
  const show = () => {
    for (const picture of pictures) {
      const head = picture.querySelector(".playhead");
      head.style.display = "block";
      head.style.left = `${100 * (+left + (right - left) * audio.currentTime / seconds)}%`;
    }
    if (!audio.paused) requestAnimationFrame(show);
  };
  audio.addEventListener("play", show);
  audio.addEventListener("seeked", show);
  for (const picture of pictures) {
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      const place = (event.clientX - box.left) / box.width;
      audio.currentTime = Math.min(seconds, Math.max(0, (place - left) / (right - left) * seconds));
      audio.play();
    });
  }
}
