<?php

// php clients/php/tests/config_test.php

declare(strict_types=1);

require __DIR__ . '/../PlugyardConfig.php';

$failed = 0;
$count = 0;
function same($expected, $actual, string $what): void
{
    global $failed, $count;
    $count++;
    if ($expected !== $actual) {
        $failed++;
        fwrite(STDERR, "$what: expected " . var_export($expected, true) . ', got ' . var_export($actual, true) . "\n");
    }
}
function refuses(callable $act, string $named, string $what): void
{
    try {
        $act();
    } catch (RuntimeException | InvalidArgumentException $error) {
        same(true, strpos($error->getMessage(), $named) !== false, "$what: {$error->getMessage()}");
        return;
    }
    same('an exception', 'none', $what);
}

$home = sys_get_temp_dir() . '/plugyard-php-' . getmypid();
$directory = "$home/plugin-config/app/Demo/0199";
mkdir($directory, 0700, true);
symlink('0199', dirname($directory) . '/current');
touch("$home/plugin-config/ready");
function store(string $directory, array $document): void
{
    // As the server does: a new file that takes the place of the old one.
    file_put_contents("$directory/new", json_encode($document, JSON_PRESERVE_ZERO_FRACTION));
    rename("$directory/new", "$directory/config.json");
}
store($directory, [
    'revision' => 3,
    'values' => ['TIMEOUT' => 60, 'RATIO' => 1.5, 'ON' => false, 'ZERO' => 0, 'CLEARED' => null, 'TEXT' => 'x', 'NUMBER' => '30', 'WHOLE' => 2.0],
    'unreadable' => ['SECRET'],
]);

$lines = [];
$config = PlugyardConfig::ofPlugin($home, 'Demo', function (string $line) use (&$lines): void {
    $lines[] = $line;
});
same(60, $config->getConfig('TIMEOUT', 30), 'a stored value');
same(false, $config->getConfig('ON', true), 'a stored false is no default');
same(0, $config->getConfig('ZERO', 7), 'a stored zero is no default');
same(30, $config->getConfig('CLEARED', 30), 'a cleared value');
same(null, $config->getConfig('CLEARED'), 'a cleared value without default');
same(30, $config->getConfig('NOPE', 30), 'an unknown key');
same(31, $config->getConfig('NOPE', 31), 'an unknown key again');
same(['no configuration key NOPE'], $lines, 'one line per key');
refuses(function () use ($config): void {
    $config->getConfig('SECRET', 'x');
}, 'SECRET', 'a secret that cannot be read');
same('60', $config->getString('TIMEOUT'), 'a number as text');
same('1.5', $config->getString('RATIO'), 'a fraction as text');
same('0', $config->getString('ON'), 'a checkbox as text');
same(30, $config->getInt('NUMBER'), 'text as number');
same(2, $config->getInt('WHOLE'), 'a whole float as int');
same(1.5, $config->getFloat('RATIO'), 'a float');
same(false, $config->getBool('ON', true), 'a bool');
same(5, $config->getInt('CLEARED', 5), 'a default of the typed reader');
foreach (['getInt', 'getFloat', 'getBool'] as $reader) {
    refuses(function () use ($config, $reader): void {
        $config->$reader('TEXT');
    }, 'TEXT', "$reader of a text");
}
refuses(function () use ($config): void {
    $config->getInt('RATIO');
}, 'RATIO', 'a fraction as int');
same(3, $config->all()['revision'], 'the revision');

$told = [];
$config->onChange(function (int $revision, array $keys) use (&$told, $directory): bool {
    $told[] = [$revision, $keys];
    if ($revision === 3) {
        $values = ['TIMEOUT' => 60, 'RATIO' => 1.5, 'ON' => 0, 'ZERO' => 0, 'CLEARED' => null, 'TEXT' => 'y', 'NUMBER' => '30', 'WHOLE' => 2.0, 'NEW' => 1];
        store($directory, ['revision' => 5, 'values' => $values, 'unreadable' => []]);
    } elseif ($revision === 5) {
        // Gone for a moment, as when the server starts again, and back with what was there.
        unlink("$directory/config.json");
        same(0, PlugyardConfig::fromFile("$directory/config.json")->all()['revision'], 'no file');
        store($directory, ['revision' => 6, 'values' => ['TIMEOUT' => 60], 'unreadable' => []]);
    }
    return $revision !== 6;
});
same([3, 5, 6], array_column($told, 0), 'each revision is told');
same(['CLEARED', 'NUMBER', 'ON', 'RATIO', 'SECRET', 'TEXT', 'TIMEOUT', 'WHOLE', 'ZERO'], $told[0][1], 'first all keys');
same(['NEW', 'ON', 'SECRET', 'TEXT'], $told[1][1], 'then those that changed');
same(false, in_array('TIMEOUT', $told[2][1], true), 'and no others');
$calls = 0;
$config->onChange(function () use (&$calls): void {
    $calls++;
}, 0.0);
same(1, $calls, 'nothing more than the revision there is');

// Two files of one size within one second, the second perhaps in the place of the one before the first.
foreach ([1, 2, 3, 4, 5, 6, 7, 8] as $number) {
    store($directory, ['revision' => 7, 'values' => ['TIMEOUT' => $number], 'unreadable' => []]);
    same($number, $config->getConfig('TIMEOUT'), 'the latest of several writes');
}

mkdir(dirname($directory) . '/0200');
store(dirname($directory) . '/0200', ['revision' => 9, 'values' => ['TIMEOUT' => 99], 'unreadable' => []]);
same(8, $config->getConfig('TIMEOUT'), 'a version that is not in force does not count');
unlink(dirname($directory) . '/0200/config.json');
rmdir(dirname($directory) . '/0200');

store($directory, ['revision' => 4, 'values' => ['TIMEOUT' => 61], 'unreadable' => []]);
same(61, $config->getConfig('TIMEOUT', 30), 'a new value is seen at once');
same(4, $config->all()['revision'], 'the new revision');
unlink("$home/plugin-config/ready");
rename("$directory/config.json", "$directory/stopped");
same(61, $config->getConfig('TIMEOUT', 30), 'without a server the last values stay');
refuses(function () use ($home): void {
    PlugyardConfig::ofPlugin($home, 'Demo')->getConfig('TIMEOUT', 30);
}, 'no server', 'without a server nothing is made up');
touch("$home/plugin-config/ready");
unlink("$directory/stopped");
same(30, $config->getConfig('TIMEOUT', 30), 'a plugin that is not installed');
same(9, PlugyardConfig::ofPlugin($home, 'Other')->getConfig('A', 9), 'another plugin');
refuses(function () use ($home): void {
    PlugyardConfig::ofPlugin($home, '../x');
}, '../x', 'a name that is none');

store($directory, ['revision' => 1, 'values' => ['A' => 1], 'unreadable' => []]);
putenv("PLUGYARD_CONFIG_FILE=$directory/config.json");
same(1, PlugyardConfig::fromEnvironment()->getConfig('A'), 'from the environment');
putenv('PLUGYARD_CONFIG_FILE');
same(2, PlugyardConfig::fromEnvironment()->getConfig('A', 2), 'from an empty environment');

file_put_contents("$directory/config.json", '{bad');
refuses(function () use ($home): void {
    PlugyardConfig::ofPlugin($home, 'Demo')->getConfig('A');
}, 'understood', 'a file that is no JSON');

unlink("$directory/config.json");
unlink(dirname($directory) . '/current');
unlink("$home/plugin-config/ready");
foreach (['/plugin-config/app/Demo/0199', '/plugin-config/app/Demo', '/plugin-config/app', '/plugin-config', ''] as $below) {
    rmdir($home . $below);
}
echo "$count checks, $failed failed\n";
exit($failed === 0 ? 0 : 1);
