// How the page is built: one script and one style sheet with hashed names, no inline code, relative addresses.

import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  logLevel: 'warn',
  build: {
    outDir: '../dist/dashboard',
    emptyOutDir: true,
    target: 'es2023',
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    cssCodeSplit: false,
    // Data URLs would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
