import { render } from "preact";

render(<main>Snug</main>, document.body);
