// Made by scripts/build-kernel.mjs from kernel/json-weight.ts; a test compares the two.
export const kernelBase64: string =
  'AGFzbQEAAAABBwFgA39/fwADAgEABQMBAAQHEgIFd2VpZ2gAAAZtZW1vcnkCAAqBAgH+AQIBewV/IAAgAWohAQNAIAAgAUkEQCAE' +
  'IAD9AAQAIgP9DN/f39/f39/f39/f39/f39/9Tv0MW1tbW1tbW1tbW1tbW1tbW/0j/WRpaiEEIAUgA/0MLCwsLCwsLCwsLCwsLCws' +
  'LP0j/WRpaiEFIAYgA/0MIiIiIiIiIiIiIiIiIiIiIv0j/WRpaiEGIAcgA/1kaWohByAIIAP9DMDAwMDAwMDAwMDAwMDAwMD9Jf1k' +
  'aWohCCAAQRBqIQAMAQsLIAIgAigCACAEajYCACACIAIoAgQgBWo2AgQgAiACKAIIIAZqNgIIIAIgAigCDCAHajYCDCACIAIoAhAg' +
  'CGo2AhAL';
