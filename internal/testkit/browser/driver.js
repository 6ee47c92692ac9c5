// Looks at pages in frames, one after the other, at each width, and tells the test what it saw.
const { pages, widths } = JSON.parse(document.getElementById('what').textContent);

async function look(page, width) {
  const frame = document.createElement('iframe');
  frame.style = `width:${width}px;height:3000px;border:0`;
  frame.src = '/site/' + page;
  const loaded = new Promise((done) => { frame.onload = done; });
  document.body.append(frame);
  await loaded;
  const doc = frame.contentDocument;
  const script = doc.createElement('script');
  script.src = '/axe.js';
  const ready = new Promise((done, failed) => { script.onload = done; script.onerror = failed; });
  doc.head.append(script);
  await ready;
  const found = await frame.contentWindow.axe.run(doc, { resultTypes: ['violations'] });
  const seen = {
    page, width,
    dark: frame.contentWindow.matchMedia('(prefers-color-scheme: dark)').matches,
    wide: doc.documentElement.scrollWidth,
    styled: doc.styleSheets.length,
    rules: found.passes.length + found.violations.length,
    found: found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 300)}: ${n.failureSummary}`)),
  };
  if (seen.wide > width) { // what makes it so, for who has to mend it
    const out = [...doc.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > width && !e.closest('.scroll, pre, .timeline'));
    seen.beyond = out.slice(-3).map((e) => e.outerHTML.slice(0, 300));
  }
  frame.remove();
  return seen;
}

(async () => {
  const tell = (seen) => fetch('/seen', { method: 'POST', body: JSON.stringify(seen) });
  try {
    for (const page of pages) for (const width of widths) await tell(await look(page, width));
  } catch (e) {
    await tell({ page: 'the driver itself', found: [String(e)] });
  }
  await fetch('/over', { method: 'POST' });
})();
