from tools import cli, style_mixing

if __name__ == '__main__':
    cli.run(style_mixing.main)
