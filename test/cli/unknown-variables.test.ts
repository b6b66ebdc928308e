import { expect, it } from 'vitest';
import { unknownVariables } from '../../src/cli/unknown-variables.ts';

it.each([
  ['KVOYANT_WOKER', 'KVOYANT_WORKER'],
  ['KVOYANT_WORKERS', 'KVOYANT_WORKER'],
  ['KVOYANT_APIKEYS', 'KVOYANT_API_KEYS'],
  ['KVOYANT_TLS_CERTFILE', 'KVOYANT_TLS_CERT_FILE'],
  ['KVOYANT_CONFG', 'KVOYANT_CONFIG'],
])('reports %s and suggests %s', (name, meant) => {
  expect(unknownVariables({ [name]: 'x', PATH: '/bin' })).toEqual([
    `the environment variable ${name} is not a setting and has no effect; is ${meant} meant?`,
  ]);
});

it('reports a variable without a suggestion if no setting is similar', () => {
  expect(unknownVariables({ KVOYANT_FAVOURITE_COLOUR: 'x' })).toEqual([
    'the environment variable KVOYANT_FAVOURITE_COLOUR is not a setting and has no effect',
  ]);
});

it('does not report settings, other variables, or those of a Kubernetes Service', () => {
  const names = ['KVOYANT_PORT', 'KVOYANT_ADMIN_PORT', 'KVOYANT_CONFIG', 'KVOYANT_SERVICE_HOST'];
  const ofService = ['KVOYANT_SERVICE_PORT_HTTP', 'KVOYANT_PORT_8000_TCP', 'KVOYANT_PORT_8000_TCP_ADDR', 'HOME'];
  expect(unknownVariables(Object.fromEntries([...names, ...ofService].map((name) => [name, 'x'])))).toEqual([]);
});
