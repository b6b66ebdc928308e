// Starts the page.

import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import './styles/charts.css';
import './styles/fleet.css';
import './styles/heat-map.css';
import './styles/decisions.css';
import './styles/views.css';
import { App } from './app.tsx';
import { noDecisions } from './live/decision-feed.ts';
import { Store } from './live/store.ts';
import { Stream } from './live/stream.ts';
import { applyTheme } from './theme.ts';

applyTheme();
const store = new Store({
  session: null,
  connection: { kind: 'connecting' },
  snapshot: null,
  snapshotMs: 0,
  sparklines: null,
  decisions: noDecisions,
  whatIf: null,
  doctor: null,
  said: '',
});
const stream = new Stream(store);
stream.start();
render(<App store={store} stream={stream} />, document.getElementById('page')!);
