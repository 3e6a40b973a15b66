<?php

declare(strict_types=1);

/** What the application loads: reads its values with `clients/php/PlugyardConfig.php`. */
final class Notices
{
    private PlugyardConfig $config;

    public function __construct(PlugyardConfig $config)
    {
        $this->config = $config;
    }

    public function word(string $text): string
    {
        return $this->config->getString('PREFIX', '') . ' ' . $text;
    }

    public function limit(): int
    {
        return $this->config->getInt('LIMIT', 60);
    }
}
