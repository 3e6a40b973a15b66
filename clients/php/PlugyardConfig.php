<?php

declare(strict_types=1);

/**
 * Reads the configuration of a plugin that Plugyard keeps. One file, PHP 7.4 or newer, nothing else needed.
 *
 *     $config = PlugyardConfig::fromEnvironment();            // in a process that Plugyard started
 *     $config = PlugyardConfig::ofPlugin($home, 'DemoPlugin'); // in an application beside its home
 *     $timeout = $config->getConfig('API_TIMEOUT', 30);
 *
 * A value that is not null is given as it is stored, also `false` and `0`; else the caller's default. A key
 * that does not exist gives the default too. Values are read again when they changed, so a long process
 * sees a new value no later than a second after it was stored; `onChange` tells when that was.
 */
final class PlugyardConfig
{
    /** Seconds after which an address is asked again, and somebody who follows changes looks again. */
    private const FRESH = 0.5;
    /** Seconds after which the time of a file tells it from one that is written next. */
    private const SETTLED = 2;
    /** Bytes of a document that is read. */
    private const LIMIT = 16777216;

    /** @var string|null */
    private $file;
    /** @var string|null a file that is there while a server runs */
    private $ready;
    /** @var array{api:string,token:string}|null */
    private $address;
    /** @var array{revision:int,values:array<string,mixed>,unreadable:list<string>} */
    private $document = ['revision' => 0, 'values' => [], 'unreadable' => []];
    /** @var string what the document was read from, to see that it changed */
    private $stamp = '';
    /** @var float when an address was last asked */
    private $asked = 0.0;
    /** @var array<string,true> */
    private $missed = [];
    /** @var callable(string):void|null */
    private $log;

    private function __construct(?string $file, ?array $address, ?callable $log)
    {
        $this->file = $file;
        $this->address = $address;
        $this->log = $log;
    }

    /**
     * In a process that Plugyard started: from the file that `PLUGYARD_CONFIG_FILE` names, else from the
     * server at `PLUGYARD_API` with `PLUGYARD_TOKEN`. With neither every read gives the caller's default.
     */
    public static function fromEnvironment(?callable $log = null): self
    {
        $file = self::variable('PLUGYARD_CONFIG_FILE');
        if ($file !== null) {
            return self::fromFile($file, $log);
        }
        $api = self::variable('PLUGYARD_API');
        $token = self::variable('PLUGYARD_TOKEN');
        if ($api !== null && $token !== null) {
            return self::fromServer($api, $token, $log);
        }
        return new self(null, null, $log);
    }

    /** From a file as `PLUGYARD_CONFIG_FILE` names it. */
    public static function fromFile(string $file, ?callable $log = null): self
    {
        return new self($file, null, $log);
    }

    /** From a server, with the token of the plugin. */
    public static function fromServer(string $api, string $token, ?callable $log = null): self
    {
        return new self(null, ['api' => rtrim($api, '/'), 'token' => $token], $log);
    }

    /**
     * The values of an `app` plugin, read beside the home directory of Plugyard. Needs the rights of the
     * server's user, because secrets are in them. A plugin that is not installed has none. While no server
     * runs there the values read last stay, and without any a read throws.
     */
    public static function ofPlugin(string $home, string $plugin, ?callable $log = null): self
    {
        if (preg_match('/^[A-Za-z][A-Za-z0-9_-]{0,63}$/D', $plugin) !== 1) {
            throw new InvalidArgumentException("not a plugin's name: $plugin");
        }
        $served = rtrim($home, '/') . '/plugin-config';
        // The link leads to the version in force.
        $config = self::fromFile("$served/app/$plugin/current/config.json", $log);
        $config->ready = "$served/ready";
        return $config;
    }

    /**
     * The stored value, or the default where there is none.
     *
     * @param mixed $default
     * @return mixed
     * @throws RuntimeException for a secret that cannot be decrypted
     */
    public function getConfig(string $key, $default = null)
    {
        $this->refresh();
        if (in_array($key, $this->document['unreadable'], true)) {
            throw new RuntimeException("$key is set and cannot be decrypted");
        }
        $values = $this->document['values'];
        if (!array_key_exists($key, $values)) {
            if ($this->log !== null && !isset($this->missed[$key])) {
                $this->missed[$key] = true;
                ($this->log)("no configuration key $key");
            }
            return $default;
        }
        return $values[$key] ?? $default;
    }

    /** The value as text: a number in decimal, a checkbox as `1` or `0`. */
    public function getString(string $key, ?string $default = null): ?string
    {
        $value = $this->getConfig($key);
        if ($value === null) {
            return $default;
        }
        if (is_bool($value)) {
            return $value ? '1' : '0';
        }
        if (is_float($value)) {
            return json_encode($value);
        }
        if (is_scalar($value)) {
            return (string) $value;
        }
        throw new UnexpectedValueException("$key is no text");
    }

    /** The value as a whole number. Throws, naming the key, for one that is none. */
    public function getInt(string $key, ?int $default = null): ?int
    {
        $value = $this->getConfig($key);
        if ($value === null) {
            return $default;
        }
        if (is_bool($value) || is_int($value)) {
            return (int) $value;
        }
        $number = filter_var(is_float($value) && floor($value) === $value ? (int) $value : $value, FILTER_VALIDATE_INT);
        if ($number === false) {
            throw new UnexpectedValueException("$key is no whole number");
        }
        return $number;
    }

    /** The value as a number. */
    public function getFloat(string $key, ?float $default = null): ?float
    {
        $value = $this->getConfig($key);
        if ($value === null) {
            return $default;
        }
        if (is_bool($value) || !is_numeric($value)) {
            throw new UnexpectedValueException("$key is no number");
        }
        return (float) $value;
    }

    /** The value as yes or no. */
    public function getBool(string $key, ?bool $default = null): ?bool
    {
        $value = $this->getConfig($key);
        if ($value === null) {
            return $default;
        }
        $known = is_bool($value) ? $value : filter_var($value, FILTER_VALIDATE_BOOLEAN, FILTER_NULL_ON_FAILURE);
        if ($known === null) {
            throw new UnexpectedValueException("$key is neither yes nor no");
        }
        return $known;
    }

    /**
     * All values of one moment, with the revision they are of.
     *
     * @return array{revision:int,values:array<string,mixed>,unreadable:list<string>}
     */
    public function all(): array
    {
        $this->refresh();
        return $this->document;
    }

    /**
     * Tells of the revision there is, and then of each write, in order: the callback gets the revision and
     * the fields whose value is another than when last told, sorted; at first all of them. Writes that follow
     * each other closely are told as one. Waits for them here, until the callback returns false or the
     * seconds are over.
     *
     * @param callable(int,list<string>):mixed $callback
     */
    public function onChange(callable $callback, ?float $seconds = null): void
    {
        $end = $seconds === null ? INF : microtime(true) + $seconds;
        $told = ['revision' => 0, 'values' => [], 'unreadable' => []];
        while (true) {
            try {
                $now = $this->all();
                // Without a server, or after an uninstall, there is nothing to tell of.
                if ($now['revision'] !== 0 && $now['revision'] !== $told['revision']) {
                    $keys = self::differing($told, $now);
                    $told = $now;
                    if ($callback($now['revision'], $keys) === false) {
                        return;
                    }
                }
            } catch (PlugyardUnavailable $error) {
                // It is asked again in a moment, as long as it takes.
                if ($this->log !== null) {
                    ($this->log)($error->getMessage());
                }
            }
            if (microtime(true) >= $end) {
                return;
            }
            usleep((int) (self::FRESH * 1e6));
        }
    }

    /** @return list<string> */
    private static function differing(array $before, array $after): array
    {
        $seen = static function (array $document): array {
            $seen = [];
            foreach ($document['values'] as $key => $value) {
                $seen[$key] = [$value, false];
            }
            foreach ($document['unreadable'] as $key) {
                $seen[$key] = [null, true];
            }
            return $seen;
        };
        [$before, $after] = [$seen($before), $seen($after)];
        $keys = [];
        foreach ($before + $after as $key => $_) {
            if (($before[$key] ?? null) !== ($after[$key] ?? null)) {
                $keys[] = (string) $key;
            }
        }
        sort($keys, SORT_STRING);
        return $keys;
    }

    private function refresh(): void
    {
        if ($this->address !== null) {
            $this->ask();
            return;
        }
        $file = $this->file;
        if ($file === null) {
            $this->forget();
            return;
        }
        clearstatcache();
        $stat = @stat($file);
        if ($stat === false && $this->ready !== null) {
            // Twice, so that a server which begins or ends in between is noticed.
            $runs = file_exists($this->ready);
            clearstatcache();
            $stat = @stat($file);
            if ($stat === false && (!$runs || !file_exists($this->ready))) {
                if ($this->document['revision'] === 0) {
                    throw new PlugyardUnavailable('no server keeps ' . dirname($this->ready));
                }
                return;
            }
        }
        if ($stat === false) {
            $this->forget();
            return;
        }
        // Every write makes a new file.
        $stamp = "$file:{$stat['ino']}:{$stat['mtime']}:{$stat['size']}";
        if ($stamp === $this->stamp) {
            return;
        }
        $text = file_get_contents($file, false, null, 0, self::LIMIT);
        if ($text === false) {
            throw new PlugyardUnavailable('the configuration file cannot be read');
        }
        $this->take($text);
        // A file that was written just now and one that takes its place may look the same.
        $this->stamp = time() - $stat['mtime'] > self::SETTLED ? $stamp : '';
    }

    private function ask(): void
    {
        $now = microtime(true);
        if ($now - $this->asked < self::FRESH) {
            return;
        }
        $context = stream_context_create(['http' => [
            'header' => 'Authorization: Bearer ' . $this->address['token'],
            'timeout' => 10,
            'follow_location' => 0,
            'ignore_errors' => true,
        ]]);
        $text = @file_get_contents($this->address['api'] . '/v1/self/config', false, $context, 0, self::LIMIT);
        $status = isset($http_response_header[0]) ? (int) (explode(' ', $http_response_header[0])[1] ?? 0) : 0;
        if ($text === false || $status !== 200) {
            throw new PlugyardUnavailable("the server does not give the configuration (status $status)");
        }
        $this->take($text);
        $this->asked = $now;
    }

    private function take(string $text): void
    {
        $read = json_decode($text, true, 64);
        if (!is_array($read) || !is_array($read['values'] ?? null)) {
            throw new PlugyardUnavailable('the configuration cannot be understood');
        }
        $this->document = [
            'revision' => (int) ($read['revision'] ?? 0),
            'values' => $read['values'],
            'unreadable' => array_values((array) ($read['unreadable'] ?? [])),
        ];
    }

    private function forget(): void
    {
        $this->document = ['revision' => 0, 'values' => [], 'unreadable' => []];
        $this->stamp = '';
    }

    private static function variable(string $name): ?string
    {
        $value = getenv($name);
        return $value === false || $value === '' ? null : $value;
    }
}

/** The configuration cannot be read just now. */
final class PlugyardUnavailable extends RuntimeException
{
}
